// BSF, BSR, POPCNT.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/bit_math.h"

namespace rondo::software {
namespace {

// A source of zero leaves the whole destination alone, the upper half of a 32-bit one included.
template <class T>
[[gnu::always_inline]] inline void finish_scan(Vcpu& cpu, const Op* op, const Scan<T>& r) {
  if (r.found) cpu.set_reg<T>(op->dst, r.value);
  set_flags(cpu, r.flags);
}

struct Bsf {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op* op, T source) {
    finish_scan<T>(cpu, op, alu_bsf(source));
  }
};
struct Bsr {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op* op, T source) {
    finish_scan<T>(cpu, op, alu_bsr(source));
  }
};
struct Popcnt {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op* op, T source) {
    const AluResult<T> r = alu_popcnt(source);
    cpu.set_reg<T>(op->dst, r.value);
    set_flags(cpu, r.flags);
  }
};

template <class F>
Handler lower_scan(const Instruction& instruction, Op& op) {
  op.dst = slot_of(instruction.operands[0]);
  return lower_source<F>(instruction.operand_bytes, instruction.operands[1], op);
}

}  // namespace

template <>
Handler lower<Operation::BSF>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_scan<Bsf>(instruction, op);
}

template <>
Handler lower<Operation::BSR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_scan<Bsr>(instruction, op);
}

template <>
Handler lower<Operation::POPCNT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_scan<Popcnt>(instruction, op);
}

}  // namespace rondo::software
