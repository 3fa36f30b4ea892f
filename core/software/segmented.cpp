// Segmented addresses and the stack (SDM 3A 5.3, SDM 1 6.2).
#include "core/software/access.h"
#include "core/software/mode.h"

namespace rondo::software {
namespace {

Fault segment_fault(unsigned segment) { return segment == SS ? fault_ss() : fault_gp(); }

// Limit and type checks of an access outside 64-bit mode. SDM 3A 5.3 (limits, expand-down) and 5.5 (types).
bool access_allowed(const Vcpu& cpu, const Segment& s, u64 offset, unsigned size, bool write) {
  const u64 last = offset + size - 1;
  const bool code = s.type & 8;
  if (cpu.protected_mode() && !cpu.v8086()) {
    if (!s.present) return false;                       // loaded with a null selector
    if (write && (code || !(s.type & 2))) return false;
    if (!write && code && !(s.type & 2)) return false;  // execute-only
  }
  if (!code && (s.type & 4)) {  // expand-down
    const u64 top = s.db ? 0xffffffff : 0xffff;
    return offset > s.limit && last <= top;
  }
  return last <= s.limit;
}

u64 truncate(u64 offset, u8 ea) {
  if (ea & kEaAddress32) return offset & 0xffffffff;
  if (ea & kEaAddress16) return offset & 0xffff;
  return offset;
}

}  // namespace

u64 effective_offset(const Vcpu& cpu, const Op* op) {
  u64 offset;
  if (op->ea & kEaAbsolute64) offset = op->imm;
  else if (op->ea & kEaRipWide) offset = cpu.slots[kSlotRip / 8] + op->next_offset + static_cast<u64>(static_cast<i64>(op->disp));
  else offset = flat_offset(cpu, op);
  return truncate(offset, op->ea);
}

LinearAddress checked_linear(Vcpu& cpu, const Op* op, unsigned size, bool write) {
  const u64 offset = effective_offset(cpu, op);
  if (!(op->ea & kEaSegmented)) return {offset + cpu.reg<u64>(op->segment), true};
  return segment_linear(cpu, segment_of(*op), offset, size, write);
}

LinearAddress segment_linear(Vcpu& cpu, unsigned segment, u64 offset, unsigned size, bool write) {
  if (cpu.code64()) return {segment >= FS ? offset + cpu.slots[segment_slot(segment) / 8] : offset, true};
  const Segment& s = cpu.arch.segment[segment];
  if (!access_allowed(cpu, s, offset, size, write)) {
    cpu.fault = segment_fault(segment);
    return {0, false};
  }
  return {(s.base + offset) & 0xffffffff, true};
}

u64 operand_linear(Vcpu& cpu, const Op* op, unsigned size, bool write) {
  const LinearAddress a = checked_linear(cpu, op, size ? size : 1, write);
  if (!a.ok) throw cpu.fault;
  return a.value;
}

u64 linear_in_segment(Vcpu& cpu, unsigned segment, u64 offset, unsigned size, bool write) {
  const LinearAddress a = segment_linear(cpu, segment, offset, size, write);
  if (!a.ok) throw cpu.fault;
  return a.value;
}

u64 stack_pointer(const Vcpu& cpu) {
  switch (cpu.stack_bytes()) {
    case 8: return cpu.gpr(RSP);
    case 4: return cpu.gpr(RSP) & 0xffffffff;
    default: return cpu.gpr(RSP) & 0xffff;
  }
}

void set_stack_pointer(Vcpu& cpu, u64 value) {
  switch (cpu.stack_bytes()) {
    case 8: cpu.gpr(RSP) = value; break;
    case 4: cpu.set_reg<u32>(gpr_slot(RSP), static_cast<u32>(value)); break;
    default: cpu.set_reg<u16>(gpr_slot(RSP), static_cast<u16>(value)); break;
  }
}

void push(Vcpu& cpu, const Op* op, u64 value, unsigned size) {
  const u64 mask = cpu.stack_bytes() == 8 ? ~u64{0} : cpu.stack_bytes() == 4 ? 0xffffffff : 0xffff;
  const u64 sp = (stack_pointer(cpu) - size) & mask;
  write_bytes(cpu, op, linear_in_segment(cpu, SS, sp, size, true), &value, size, Privilege::current, true);
  set_stack_pointer(cpu, sp);
}

u64 pop(Vcpu& cpu, const Op* op, unsigned size) {
  u64 value = 0;
  const u64 sp = stack_pointer(cpu);
  read_bytes(cpu, op, linear_in_segment(cpu, SS, sp, size, false), &value, size, Privilege::current, true);
  set_stack_pointer(cpu, sp + size);
  return value;
}

}  // namespace rondo::software
