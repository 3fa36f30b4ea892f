// INT n and its relatives, IRET, CLI, STI, HLT.
#include "core/software/ops/system_forms.h"
#include "core/software/system/exceptions.h"
#include "core/software/system/far_transfer.h"
#include "core/software/system/transfer.h"

namespace rondo::software {
namespace {

void int_n(Vcpu& cpu, const Op& op) { software_interrupt(cpu, &op, static_cast<u8>(op.imm), EventKind::software); }
void int3(Vcpu& cpu, const Op& op) { software_interrupt(cpu, &op, kBP, EventKind::int3); }
void int1(Vcpu& cpu, const Op& op) { software_interrupt(cpu, &op, kDB, EventKind::int1); }
void into(Vcpu& cpu, const Op& op) {
  if (cpu.lazy.of()) software_interrupt(cpu, &op, kOF, EventKind::into);
}

void iret(Vcpu& cpu, const Op& op) { interrupt_return(cpu, op, op.aux); }

// Apart from iret64, whose tail call it would spoil.
[[gnu::noinline]] bool try_iret64(Vcpu& cpu, const Op* op) {
  cpu.next_rip = following_rip(cpu, op);
  cpu.rip = cpu.next_rip - op->length;
  try {
    interrupt_return(cpu, *op, op->aux);
    return true;
  } catch (const Fault& fault) {
    cpu.fault = fault;
    return false;
  }
}

// 64-bit mode: the common return goes on without the driver.
const Op* iret64(Vcpu& cpu, const Op* op) {
  if (!try_iret64(cpu, op)) [[unlikely]]
    return leave_with_fault(cpu, op);
  return continue_at(cpu, op, cpu.next_rip);
}

// CLI and STI need CPL <= IOPL; virtual-8086 mode without VME needs IOPL 3, which is the same test at CPL 3 (SDM 2A,
// 2B).
bool may_change_if(const Vcpu& cpu) { return cpu.real_mode() || cpu.cpl <= cpu.iopl(); }

const Op* cli(Vcpu& cpu, const Op* op) {
  if (!may_change_if(cpu)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  cpu.rflags_rest &= ~flags::IF;
  return next(cpu, op);
}

// Interrupts stay off for one more instruction. If that is in this block and nothing is waiting, it is over before
// anybody could look: what becomes pending in it leaves the block after it. A single step sees a block of one.
const Op* sti(Vcpu& cpu, const Op* op) {
  if (!may_change_if(cpu)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  if (cpu.rflags_rest & flags::IF) return next(cpu, op);
  cpu.rflags_rest |= flags::IF;
  if (op->left > 1 && !cpu.attention && !cpu.arch.nmi_pending && !cpu.apic->intr()) [[likely]]
    return next(cpu, op);
  cpu.arch.sti_shadow = true;
  return leave_after(cpu, op);
}

void hlt(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  cpu.begin_event(&op);
  cpu.arch.activity = Activity::halted;
  cpu.attention = true;
}

}  // namespace

template <>
Handler lower<Operation::INT>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<int_n>(context);
}
template <>
Handler lower<Operation::INT3>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<int3>(context);
}
template <>
Handler lower<Operation::INT1>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<int1>(context);
}
template <>
Handler lower<Operation::INTO>(const Instruction& instruction, Op&, LowerContext& context) {
  return in_code64(instruction) ? nullptr : lower_ending<into>(context);
}

template <>
Handler lower<Operation::IRET>(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = instruction.operand_bytes;
  if (!in_code64(instruction)) return lower_ending<iret>(context);
  context.ends_block = true;
  return &iret64;
}

template <>
Handler lower<Operation::CLI>(const Instruction&, Op&, LowerContext&) {
  return &cli;
}
template <>
Handler lower<Operation::STI>(const Instruction&, Op&, LowerContext&) {
  return &sti;
}
template <>
Handler lower<Operation::HLT>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<hlt>(context);
}

}  // namespace rondo::software
