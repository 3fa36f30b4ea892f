// Operations without an effect, fences, CLFLUSH, BOUND, and those that raise #UD.
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

const Op* nop(Vcpu& cpu, const Op* op) { return next(cpu, op); }

const Op* undefined(Vcpu& cpu, const Op* op) {
  cpu.fault = fault_ud();
  return leave_with_fault(cpu, op);
}

// Memory is always coherent here; what remains is the access check of a one-byte load (SDM 2A, CLFLUSH).
const Op* clflush(Vcpu& cpu, const Op* op) {
  const Loaded<u8> v = load<u8>(cpu, op);
  return finish(cpu, op, v.status);
}

// #BR unless lower <= index <= upper, signed; the two bounds lie in memory (SDM 2A, BOUND).
template <class T>
void bound(Vcpu& cpu, const Op& op) {
  using Signed = std::make_signed_t<T>;
  const u64 linear = operand_linear(cpu, &op, 2 * sizeof(T), false);
  const bool stack = uses_stack_segment(&op);
  const auto lower_bound = static_cast<Signed>(read_linear<T>(cpu, &op, linear, Privilege::current, stack));
  const auto upper_bound = static_cast<Signed>(read_linear<T>(cpu, &op, linear + sizeof(T), Privilege::current, stack));
  const auto index = static_cast<Signed>(cpu.reg<T>(op.dst));
  if (index < lower_bound || index > upper_bound) throw Fault{.vector = kBR};
}

}  // namespace

template <>
Handler lower<Operation::NOP>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::PREFETCH>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::PAUSE>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::LFENCE>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::MFENCE>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::SFENCE>(const Instruction&, Op&, LowerContext&) {
  return &nop;
}
template <>
Handler lower<Operation::CLFLUSH>(const Instruction&, Op&, LowerContext&) {
  return &clflush;
}

template <>
Handler lower<Operation::BOUND>(const Instruction& instruction, Op& op, LowerContext&) {
  op.dst = slot_of(instruction.operands[0]);
  return by_size(instruction.operand_bytes, nullptr, &cold<bound<u16>>, &cold<bound<u32>>, nullptr);
}

template <>
Handler lower<Operation::UD0>(const Instruction&, Op&, LowerContext& context) {
  context.ends_block = true;
  return &undefined;
}
template <>
Handler lower<Operation::UD1>(const Instruction&, Op&, LowerContext& context) {
  context.ends_block = true;
  return &undefined;
}
template <>
Handler lower<Operation::UD2>(const Instruction&, Op&, LowerContext& context) {
  context.ends_block = true;
  return &undefined;
}

}  // namespace rondo::software
