#include "core/software/lowering.h"

#include "core/software/debug_index.h"
#include "core/software/ops/branch_forms.h"
#include "core/software/ops/handler.h"

namespace rondo::software {

template <bool SamePage>
const Op* fall_through(Vcpu& cpu, const Op* op);
const Op* fall_through_legacy(Vcpu& cpu, const Op* op);

namespace {

using Lowering = Handler (*)(const Instruction&, Op&, LowerContext&);

const Op* undefined(Vcpu& cpu, const Op* op) { return raise(cpu, op, fault_ud()); }
const Op* too_long(Vcpu& cpu, const Op* op) { return raise(cpu, op, fault_gp()); }

Handler lower_undefined(const Instruction&, Op&, LowerContext& context) {
  context.ends_block = true;
  return &undefined;
}

// One entry per row of decoder/operations.txt; an operation without lower<> does not link.
constexpr Lowering kLowerings[] = {
    &lower_undefined,
#define RONDO_OPERATION(name) &lower<Operation::name>,
#include "decoder/operations.inc"
#undef RONDO_OPERATION
};
static_assert(std::size(kLowerings) == decoder::kOperationCount);

const Op* stop(Vcpu& cpu, const Op* op) {
  cpu.rip = (cpu.slots[kSlotRip / 8] + op->next_offset) & cpu.rip_mask;
  cpu.leave = Leave::lookup;
  return nullptr;
}

[[gnu::noinline]] bool stops_here(const Vcpu& cpu, const Op* op) {
  const u64 rip = cpu.slots[kSlotRip / 8];
  if (cpu.debug->found(rip, cpu.slots.data()) && cpu.searched != cpu.position(cpu.count_before(op))) return true;
  if (!cpu.debug->breaks_at(cpu.code64() ? rip : (rip + cpu.arch.segment[CS].base) & 0xffffffff)) return false;
  return cpu.passed != cpu.position(cpu.count_before(op)) || cpu.passed_rip != rip;
}

// The driver looks again, and stops.
const Op* guard(Vcpu& cpu, const Op* op) {
  if (!stops_here(cpu, op)) return next(cpu, op);
  cpu.remaining += op->left;
  cpu.rip = cpu.slots[kSlotRip / 8];
  cpu.leave = Leave::breakpoint;
  return nullptr;
}

void clear(Op& op) {
  op = Op{};
  op.base = op.index = op.segment = kSlotZero;
}

}  // namespace

void set_memory(const Instruction& instruction, Op& op) {
  const decoder::Memory& m = instruction.memory;
  const bool code64 = instruction.mode == decoder::CodeMode::bits64;
  op.ea = 0;
  op.scale = m.scale_shift;
  op.index = m.index == decoder::kNoRegister ? kSlotZero : gpr_slot(m.index);
  op.disp = static_cast<i32>(m.displacement);
  if (m.base == decoder::kRipRegister) {
    const i64 from_start = m.displacement + op.next_offset;
    op.base = kSlotRip;
    if (from_start == static_cast<i32>(from_start)) op.disp = static_cast<i32>(from_start);
    else op.ea |= kEaRipWide;
  } else {
    op.base = m.base == decoder::kNoRegister ? kSlotZero : gpr_slot(m.base);
  }
  if (m.displacement != static_cast<i32>(m.displacement)) {
    // 64-bit moffs: no base, no immediate.
    op.ea |= kEaAbsolute64;
    op.imm = static_cast<u64>(m.displacement);
  }
  if (code64) {
    op.segment = m.segment >= FS ? segment_slot(m.segment) : kSlotZero;
    if (m.address_bytes == 4) op.ea |= kEaAddress32;
  } else {
    op.segment = segment_slot(m.segment);
    op.ea |= kEaSegmented | (m.address_bytes == 2 ? kEaAddress16 : kEaAddress32);
  }
}

void lower_instruction(const Instruction& instruction, unsigned offset, Op& op, LowerContext& context) {
  clear(op);
  op.length = instruction.length;
  op.next_offset = static_cast<u16>(offset + instruction.length);
  op.imm = static_cast<u64>(instruction.immediate);
  for (unsigned i = 0; i < instruction.operand_count; ++i) {
    if (is_memory(instruction.operands[i])) set_memory(instruction, op);
  }
  op.handler = kLowerings[static_cast<unsigned>(instruction.operation)](instruction, op, context);
  if (!op.handler) op.handler = lower_undefined(instruction, op, context);
}

void lower_invalid(bool is_too_long, Op& op) {
  clear(op);
  op.handler = is_too_long ? &too_long : &undefined;
}

void lower_fall_through(bool code64, unsigned bytes, Op& op, const LowerContext& context) {
  clear(op);
  op.next_offset = static_cast<u16>(bytes);
  const bool same_page = !context.crosses && context.page_offset < kPageSize;
  op.handler = !code64 ? &fall_through_legacy : same_page ? &fall_through<true> : &fall_through<false>;
}

void lower_guard(Op& op) {
  clear(op);
  op.handler = &guard;
}

void lower_stop(unsigned bytes, Op& op) {
  clear(op);
  op.next_offset = static_cast<u16>(bytes);
  op.handler = &stop;
}

}  // namespace rondo::software
