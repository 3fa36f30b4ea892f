// MOV, PUSH and POP of segment registers, and the far pointer loads.
#include "core/software/ops/system_forms.h"
#include "core/software/system/segment.h"
#include "core/software/system/stack.h"

namespace rondo::software {
namespace {

// op.src: the segment register, op.dst and op.aux: where to.
void read_segment(Vcpu& cpu, const Op& op) { store_selector(cpu, op, cpu.arch.segment[op.src].selector); }

void stack_segment_loaded(Vcpu& cpu) {
  cpu.arch.mov_ss_shadow = true;  // SDM 3A 6.8.3
  mode_changed(cpu);
}

// op.dst: the segment register.
void write_segment(Vcpu& cpu, const Op& op) { load_segment(cpu, op.dst, read_source16(cpu, op)); }

void write_stack_segment(Vcpu& cpu, const Op& op) {
  load_segment(cpu, SS, read_source16(cpu, op));
  stack_segment_loaded(cpu);
}

void push_segment(Vcpu& cpu, const Op& op) { push(cpu, &op, cpu.arch.segment[op.src].selector, op.aux); }

void pop_segment(Vcpu& cpu, const Op& op) {
  StackCursor stack(cpu, &op);
  load_segment(cpu, op.dst, static_cast<u16>(stack.pop(op.aux)));
  cpu.gpr(RSP) = stack.pointer();
}

void pop_stack_segment(Vcpu& cpu, const Op& op) {
  pop_segment(cpu, op);
  stack_segment_loaded(cpu);
}

// op.dst: the general register, op.src: the segment register, op.aux: the offset's size.
template <class Offset>
void load_far(Vcpu& cpu, const Op& op) {
  const u64 linear = operand_linear(cpu, &op, sizeof(Offset) + 2, false);
  const bool stack = uses_stack_segment(&op);
  const auto offset = read_linear<Offset>(cpu, &op, linear, Privilege::current, stack);
  const u16 selector = read_linear<u16>(cpu, &op, linear + sizeof(Offset), Privilege::current, stack);
  load_segment(cpu, op.src, selector);
  cpu.set_reg<Offset>(op.dst, offset);
  if (op.src == SS) mode_changed(cpu);
}

Handler lower_load_far(const Instruction& instruction, Op& op, LowerContext& context, SegmentName segment) {
  if (!is_memory(instruction.operands[1])) return nullptr;
  op.dst = slot_of(instruction.operands[0]);
  op.src = segment;
  context.ends_block = true;
  return by_size(instruction.operand_bytes, nullptr, &ending<load_far<u16>>, &ending<load_far<u32>>,
                 &ending<load_far<u64>>);
}

}  // namespace

template <>
Handler lower<Operation::MOV_SEG>(const Instruction& instruction, Op& op, LowerContext& context) {
  const Operand& to = instruction.operands[0];
  const Operand& from = instruction.operands[1];
  if (to.kind != OperandKind::segment) {
    if (from.reg > GS) return nullptr;
    set_destination(instruction, op);
    op.src = from.reg;
    return &cold<read_segment>;
  }
  if (to.reg > GS || to.reg == CS) return nullptr;
  set_source(instruction, op, 1);
  op.dst = to.reg;
  if (to.reg == SS) return lower_ending<write_stack_segment>(context);
  return &cold<write_segment>;
}

template <>
Handler lower<Operation::PUSH_SEG>(const Instruction& instruction, Op& op, LowerContext&) {
  op.src = instruction.operands[0].reg;
  op.aux = instruction.operand_bytes;
  return &cold<push_segment>;
}

template <>
Handler lower<Operation::POP_SEG>(const Instruction& instruction, Op& op, LowerContext& context) {
  op.dst = instruction.operands[0].reg;
  op.aux = instruction.operand_bytes;
  if (op.dst == SS) return lower_ending<pop_stack_segment>(context);
  return &cold<pop_segment>;
}

template <>
Handler lower<Operation::LDS>(const Instruction& instruction, Op& op, LowerContext& context) {
  return lower_load_far(instruction, op, context, DS);
}
template <>
Handler lower<Operation::LES>(const Instruction& instruction, Op& op, LowerContext& context) {
  return lower_load_far(instruction, op, context, ES);
}
template <>
Handler lower<Operation::LFS>(const Instruction& instruction, Op& op, LowerContext& context) {
  return lower_load_far(instruction, op, context, FS);
}
template <>
Handler lower<Operation::LGS>(const Instruction& instruction, Op& op, LowerContext& context) {
  return lower_load_far(instruction, op, context, GS);
}
template <>
Handler lower<Operation::LSS>(const Instruction& instruction, Op& op, LowerContext& context) {
  return lower_load_far(instruction, op, context, SS);
}

}  // namespace rondo::software
