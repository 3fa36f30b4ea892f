// Far jumps, calls and returns.
#include "core/software/ops/system_forms.h"
#include "core/software/system/far_transfer.h"

namespace rondo::software {
namespace {

// ptr16:16 and ptr16:32: op.imm is the offset, op.disp the selector. m16:xx: the offset comes first. op.aux is the
// operand size.
FarPointer pointer_in_instruction(const Op& op) {
  return {static_cast<u16>(op.disp), op.imm & (op.aux == 2 ? 0xffff : 0xffffffff)};
}

FarPointer pointer_in_memory(Vcpu& cpu, const Op& op) {
  const u64 linear = operand_linear(cpu, &op, op.aux + 2U, false);
  const bool stack = uses_stack_segment(&op);
  FarPointer pointer;
  read_bytes(cpu, &op, linear, &pointer.offset, op.aux, Privilege::current, stack);
  pointer.selector = read_linear<u16>(cpu, &op, linear + op.aux, Privilege::current, stack);
  return pointer;
}

void jump_immediate(Vcpu& cpu, const Op& op) { far_jump(cpu, op, pointer_in_instruction(op), op.aux); }
void jump_memory(Vcpu& cpu, const Op& op) { far_jump(cpu, op, pointer_in_memory(cpu, op), op.aux); }
void call_immediate(Vcpu& cpu, const Op& op) { far_call(cpu, op, pointer_in_instruction(op), op.aux); }
void call_memory(Vcpu& cpu, const Op& op) { far_call(cpu, op, pointer_in_memory(cpu, op), op.aux); }
void return_far(Vcpu& cpu, const Op& op) { far_return(cpu, op, op.aux, op.imm & 0xffff); }

bool set_far(const Instruction& instruction, Op& op) {
  op.aux = instruction.operand_bytes;
  if (is_memory(instruction.operands[0])) return false;
  op.disp = static_cast<i32>(instruction.immediate2 & 0xffff);
  return true;
}

}  // namespace

template <>
Handler lower<Operation::JMP_FAR>(const Instruction& instruction, Op& op, LowerContext& context) {
  return set_far(instruction, op) ? lower_ending<jump_immediate>(context) : lower_ending<jump_memory>(context);
}

template <>
Handler lower<Operation::CALL_FAR>(const Instruction& instruction, Op& op, LowerContext& context) {
  return set_far(instruction, op) ? lower_ending<call_immediate>(context) : lower_ending<call_memory>(context);
}

template <>
Handler lower<Operation::RET_FAR>(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = instruction.operand_bytes;
  return lower_ending<return_far>(context);
}

}  // namespace rondo::software
