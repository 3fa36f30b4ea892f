// SHLD and SHRD: destination r/m, fill register op.src, count immediate or CL.
#include "core/software/ops/shift_forms.h"

namespace rondo::software {
namespace {

struct Shld {
  template <class T>
  static AluResult<T> apply(T a, T fill, unsigned count) {
    return alu_shld(a, fill, count);
  }
};
struct Shrd {
  template <class T>
  static AluResult<T> apply(T a, T fill, unsigned count) {
    return alu_shrd(a, fill, count);
  }
};

// aux: the count is CL.
template <class F>
struct DoubleShift {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op* op) {
    const u64 raw = op->aux ? cpu.reg<u8>(gpr_slot(RCX)) : op->imm;
    const unsigned count = static_cast<unsigned>(raw) & kCountMask<T>;
    if (count == 0) return a;
    return take(cpu, F::template apply<T>(a, cpu.reg<T>(op->src), count));
  }
};

template <class F>
Handler lower_double(const Instruction& instruction, Op& op) {
  if (instruction.operand_bytes == 1 || !is_register(instruction.operands[1])) return nullptr;
  op.src = slot_of(instruction.operands[1]);
  op.aux = is_register(instruction.operands[2]);
  const bool memory = is_memory(instruction.operands[0]);
  if (!memory) op.dst = slot_of(instruction.operands[0]);
  switch (instruction.operand_bytes) {
    case 2:
      return unary_handler<u16, DoubleShift<F>>(memory, op);
    case 4:
      return unary_handler<u32, DoubleShift<F>>(memory, op);
    case 8:
      return unary_handler<u64, DoubleShift<F>>(memory, op);
    default:
      return nullptr;
  }
}

}  // namespace

template <>
Handler lower<Operation::SHLD>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_double<Shld>(instruction, op);
}

template <>
Handler lower<Operation::SHRD>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_double<Shrd>(instruction, op);
}

}  // namespace rondo::software
