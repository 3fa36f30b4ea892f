#include "core/software/ops/handler.h"

namespace rondo::software {

const Op* leave_with_fault(Vcpu& cpu, const Op* op) {
  cpu.remaining += op->left;
  cpu.rip = (cpu.slots[kSlotRip / 8] + op->next_offset - op->length) & cpu.rip_mask;
  cpu.leave = Leave::fault;
  return nullptr;
}

const Op* leave_after(Vcpu& cpu, const Op* op) {
  cpu.remaining += op->left - 1;
  cpu.rip = (cpu.slots[kSlotRip / 8] + op->next_offset) & cpu.rip_mask;
  cpu.leave = Leave::attention;
  return nullptr;
}

const Op* raise(Vcpu& cpu, const Op* op, const Fault& fault) {
  cpu.fault = fault;
  return leave_with_fault(cpu, op);
}

namespace {

// The instruction is to be entered again: neither RIP nor count advance. RF goes into the image of what interrupts it (SDM 3B 17.3.1.1).
const Op* leave_unfinished(Vcpu& cpu, const Op* op) {
  cpu.rep_unfinished = false;
  cpu.rflags_rest |= flags::RF;
  cpu.remaining += op->left;
  cpu.rip = (cpu.slots[kSlotRip / 8] + op->next_offset - op->length) & cpu.rip_mask;
  cpu.leave = Leave::unfinished;
  cpu.attention = true;
  return nullptr;
}

bool run_body(Vcpu& cpu, const Op* op, ColdBody body) {
  const u64 start = cpu.slots[kSlotRip / 8];
  cpu.rip = (start + op->next_offset - op->length) & cpu.rip_mask;
  cpu.next_rip = (start + op->next_offset) & cpu.rip_mask;
  try {
    body(cpu, *op);
    return true;
  } catch (const Fault& fault) {
    cpu.fault = fault;
    cpu.rep_unfinished = false;
    return false;
  }
}

}  // namespace

const Op* run_cold(Vcpu& cpu, const Op* op, ColdBody body) {
  if (!run_body(cpu, op, body)) return leave_with_fault(cpu, op);
  if (!cpu.attention) [[likely]] return op;
  return cpu.rep_unfinished ? leave_unfinished(cpu, op) : leave_after(cpu, op);
}

const Op* run_ending(Vcpu& cpu, const Op* op, ColdBody body) {
  if (!run_body(cpu, op, body)) return leave_with_fault(cpu, op);
  if (cpu.rep_unfinished) return leave_unfinished(cpu, op);
  cpu.remaining += op->left - 1;
  cpu.rip = cpu.next_rip;
  cpu.leave = Leave::attention;
  return nullptr;
}

}  // namespace rondo::software
