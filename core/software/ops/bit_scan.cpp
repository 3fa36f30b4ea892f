// BSF, BSR, POPCNT.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/bit_math.h"

namespace rondo::software {
namespace {

struct Bsf {
  template <class T>
  static Scan<T> apply(T source) { return alu_bsf(source); }
};
struct Bsr {
  template <class T>
  static Scan<T> apply(T source) { return alu_bsr(source); }
};

struct FromRegister {
  template <class T>
  [[gnu::always_inline]] static Loaded<T> get(Vcpu& cpu, const Op* op) { return {cpu.reg<T>(op->src), MemStatus::ok}; }
};
struct FromMemory {
  template <class T>
  [[gnu::always_inline]] static Loaded<T> get(Vcpu& cpu, const Op* op) { return load<T>(cpu, op); }
};

// A source of zero leaves the whole destination alone, the upper half of a 32-bit one included.
template <class T, class F, class Source>
const Op* scan(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = Source::template get<T>(cpu, op);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const Scan<T> r = F::template apply<T>(v.value);
  if (r.found) cpu.set_reg<T>(op->dst, r.value);
  set_flags(cpu, r.flags);
  return finish(cpu, op, v.status);
}

template <class T, class Source>
const Op* popcnt(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = Source::template get<T>(cpu, op);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const AluResult<T> r = alu_popcnt(v.value);
  cpu.set_reg<T>(op->dst, r.value);
  set_flags(cpu, r.flags);
  return finish(cpu, op, v.status);
}

// Whether the source is in memory. The form must be rr or rm.
std::optional<bool> memory_source(const Instruction& instruction, Op& op) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (form == Form::rr) return false;
  if (form == Form::rm) return true;
  return std::nullopt;
}

template <class F>
Handler lower_scan(const Instruction& instruction, Op& op) {
  const std::optional<bool> memory = memory_source(instruction, op);
  if (!memory) return nullptr;
  const unsigned bytes = instruction.operand_bytes;
  return *memory ? by_size(bytes, nullptr, &scan<u16, F, FromMemory>, &scan<u32, F, FromMemory>, &scan<u64, F, FromMemory>)
                 : by_size(bytes, nullptr, &scan<u16, F, FromRegister>, &scan<u32, F, FromRegister>, &scan<u64, F, FromRegister>);
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
  const std::optional<bool> memory = memory_source(instruction, op);
  if (!memory) return nullptr;
  const unsigned bytes = instruction.operand_bytes;
  return *memory ? by_size(bytes, nullptr, &popcnt<u16, FromMemory>, &popcnt<u32, FromMemory>, &popcnt<u64, FromMemory>)
                 : by_size(bytes, nullptr, &popcnt<u16, FromRegister>, &popcnt<u32, FromRegister>, &popcnt<u64, FromRegister>);
}

}  // namespace rondo::software
