// RET far and IRET.
#include "core/software/system/far_transfer.h"
#include "core/software/system/stack.h"
#include "core/software/system/transfer.h"
#include "core/software/system/tss.h"

namespace rondo::software {
namespace {

u64 offset_mask(unsigned bytes) { return bytes == 8 ? ~u64{0} : bytes == 4 ? 0xffffffff : 0xffff; }

// The code segment that is returned to, at the level of its RPL (SDM 3A 5.8.6).
Descriptor return_segment(Vcpu& cpu, u16 selector) {
  if (is_null(selector)) throw fault_gp(0);
  const Descriptor code = read_descriptor(cpu, selector);
  const u8 rpl = rpl_of(selector);
  if (!code.is_code() || rpl < cpu.cpl) throw_selector_fault(kGP, selector);
  if (code.is_conforming() ? code.dpl() > rpl : code.dpl() != rpl) throw_selector_fault(kGP, selector);
  if (cpu.long_mode() && code.l() && code.db()) throw_selector_fault(kGP, selector);
  if (!code.present()) throw_selector_fault(kNP, selector);
  return code;
}

Segment return_stack_segment(Vcpu& cpu, u16 selector, u8 cpl, bool to_code64) {
  if (!is_null(selector)) return checked_stack_segment(cpu, selector, cpl, kGP);
  if (!to_code64 || cpl == 3 || rpl_of(selector) != cpl) throw fault_gp(0);
  Segment ss = null_segment(selector);
  ss.dpl = cpl;
  return ss;
}

// RSP after a return to another stack: as much of it as the new stack uses.
u64 returned_pointer(const Vcpu& cpu, const Segment& ss, bool to_code64, u64 pointer) {
  if (to_code64) return pointer;
  return ss.db ? pointer & 0xffffffff : (cpu.gpr(RSP) & ~u64{0xffff}) | (pointer & 0xffff);
}

// Which bits IRET may change (SDM 2, IRET; CPL is the one that executes it).
u64 writable_flags(const Vcpu& cpu, unsigned bytes) {
  u64 mask = flags::kArithmetic | flags::TF | flags::DF | flags::NT;
  if (bytes != 2) mask |= flags::RF | flags::AC | flags::ID;
  if (cpu.cpl <= cpu.iopl()) mask |= flags::IF;
  if (cpu.cpl == 0) {
    mask |= flags::IOPL;
    if (bytes != 2) mask |= flags::VIF | flags::VIP;
  }
  return mask;
}

void replace_flags(Vcpu& cpu, u64 value, u64 mask) { cpu.set_rflags((cpu.rflags() & ~mask) | (value & mask)); }

void iret_real(Vcpu& cpu, const Op& op, unsigned bytes) {
  if (cpu.v8086() && cpu.iopl() < 3) throw fault_gp(0);
  StackCursor stack(cpu, &op);
  const u64 rip = stack.pop(bytes) & offset_mask(bytes);
  const u16 selector = static_cast<u16>(stack.pop(bytes));
  const u64 image = stack.pop(bytes);
  if (rip > cpu.arch.segment[CS].limit) throw fault_gp(0);
  const u64 old = cpu.rflags_rest;
  u64 mask = writable_flags(cpu, bytes) & ~(flags::VIF | flags::VIP);
  if (cpu.v8086()) mask &= ~flags::IOPL;
  cpu.gpr(RSP) = stack.pointer();
  load_segment_real(cpu, CS, selector);
  replace_flags(cpu, image, mask);
  cpu.next_rip = rip;
  control_transferred(cpu, false, old);
}

void iret_task(Vcpu& cpu, const Op& op) {
  const u16 selector = read_system<u16>(cpu, cpu.arch.tr.base);
  if (selector & 4) throw_selector_fault(kTS, selector);
  const Descriptor tss = read_descriptor(cpu, selector, kTS);
  if (!tss.is_tss_busy()) throw_selector_fault(kTS, selector);
  if (!tss.present()) throw_selector_fault(kNP, selector);
  switch_task(cpu, &op, selector, tss, {.cause = TaskSwitch::iret, .return_rip = cpu.next_rip});
  cpu.next_rip = cpu.rip;
}

// SDM 3B 20.2.2: what is still on the stack is ESP, SS, ES, DS, FS, GS.
void iret_to_v8086(Vcpu& cpu, StackCursor& stack, u64 rip, u16 selector, u64 image) {
  const u64 sp = stack.pop(4);
  std::array<u16, 6> selectors{};
  selectors[CS] = selector;
  for (const unsigned name : {SS, ES, DS, FS, GS}) selectors[name] = static_cast<u16>(stack.pop(4));
  if (rip > 0xffff) throw fault_gp(0);
  const u64 old = cpu.rflags_rest;
  replace_flags(cpu, image, writable_flags(cpu, 4) | flags::VM);
  for (unsigned name = 0; name < 6; ++name) load_segment_real(cpu, name, selectors[name]);
  cpu.cpl = 3;
  cpu.gpr(RSP) = sp & 0xffffffff;
  cpu.next_rip = rip;
  control_transferred(cpu, false, old);
}

void iret_protected(Vcpu& cpu, const Op& op, unsigned bytes) {
  StackCursor stack(cpu, &op);
  const u64 rip = stack.pop(bytes) & offset_mask(bytes);
  const u16 selector = static_cast<u16>(stack.pop(bytes));
  const u64 image = stack.pop(bytes);
  if ((image & flags::VM) && cpu.cpl == 0 && bytes == 4 && !cpu.long_mode())
    return iret_to_v8086(cpu, stack, rip, selector, image);

  Descriptor code = return_segment(cpu, selector);
  const u8 cpl = rpl_of(selector);
  const bool outer = cpl > cpu.cpl, was_code64 = cpu.code64();
  const Segment cs = code.to_segment(selector);
  const bool to_code64 = cpu.long_mode() && cs.l;
  Segment ss;
  u64 sp = 0;
  // 64-bit mode always returns to another stack (SDM 3A 6.14.3).
  const bool new_stack = outer || was_code64;
  if (new_stack) {
    sp = stack.pop(bytes);
    ss = return_stack_segment(cpu, static_cast<u16>(stack.pop(bytes)), cpl, to_code64);
  }
  check_target(cpu, cs, rip);

  set_accessed(cpu, selector, code);
  const u64 old = cpu.rflags_rest;
  replace_flags(cpu, image, writable_flags(cpu, bytes));
  if (new_stack) {
    cpu.gpr(RSP) = returned_pointer(cpu, ss, to_code64, sp);
    set_segment(cpu, SS, ss);
  } else {
    cpu.gpr(RSP) = stack.pointer();
  }
  set_code_segment(cpu, cs, cpl);
  if (outer) drop_privileged_segments(cpu, cpl);
  cpu.next_rip = rip;
  control_transferred(cpu, was_code64, old);
}

}  // namespace

void interrupt_return(Vcpu& cpu, const Op& op, unsigned operand_bytes) {
  // NMIs are unblocked even if the IRET faults (SDM 3A 6.7.1).
  cpu.arch.nmi_blocked = false;
  if (cpu.arch.nmi_pending) cpu.attention = true;
  if (cpu.real_mode() || cpu.v8086()) return iret_real(cpu, op, operand_bytes);
  if (cpu.rflags_rest & flags::NT) {
    if (cpu.long_mode()) throw fault_gp(0);
    return iret_task(cpu, op);
  }
  iret_protected(cpu, op, operand_bytes);
}

void far_return(Vcpu& cpu, const Op& op, unsigned operand_bytes, u64 extra_bytes) {
  StackCursor stack(cpu, &op);
  const u64 rip = stack.pop(operand_bytes) & offset_mask(operand_bytes);
  const u16 selector = static_cast<u16>(stack.pop(operand_bytes));
  if (cpu.real_mode() || cpu.v8086()) {
    if (rip > cpu.arch.segment[CS].limit) throw fault_gp(0);
    stack.skip(extra_bytes);
    cpu.gpr(RSP) = stack.pointer();
    load_segment_real(cpu, CS, selector);
    cpu.next_rip = rip;
    return mode_changed(cpu);
  }
  Descriptor code = return_segment(cpu, selector);
  const u8 cpl = rpl_of(selector);
  const bool outer = cpl > cpu.cpl, was_code64 = cpu.code64();
  const Segment cs = code.to_segment(selector);
  const bool to_code64 = cpu.long_mode() && cs.l;
  stack.skip(extra_bytes);
  Segment ss;
  u64 sp = stack.pointer();
  if (outer) {
    sp = stack.pop(operand_bytes);
    ss = return_stack_segment(cpu, static_cast<u16>(stack.pop(operand_bytes)), cpl, to_code64);
  }
  check_target(cpu, cs, rip);
  set_accessed(cpu, selector, code);
  if (outer) {
    cpu.gpr(RSP) = returned_pointer(cpu, ss, to_code64, sp + extra_bytes);
    set_segment(cpu, SS, ss);
  } else {
    cpu.gpr(RSP) = sp;
  }
  set_code_segment(cpu, cs, cpl);
  if (outer) drop_privileged_segments(cpu, cpl);
  cpu.next_rip = rip;
  control_transferred(cpu, was_code64, cpu.rflags_rest);
}

}  // namespace rondo::software
