// What control transfers and changes of RFLAGS have in common: who must be told.
#pragma once

#include "core/software/mode.h"

namespace rondo::software {

// IF was set: the driver looks if something is waiting.
inline void interrupts_enabled(Vcpu& cpu) {
  if (cpu.arch.nmi_pending || (cpu.apic && cpu.apic->intr())) cpu.attention = true;
}

// After RFLAGS were replaced, `old` being the former rflags_rest. CS, SS and CPL are as before or are reported by the
// caller.
inline void flags_replaced(Vcpu& cpu, u64 old) {
  const u64 changed = old ^ cpu.rflags_rest;
  if (changed & cpu.rflags_rest & flags::IF) interrupts_enabled(cpu);
  if (changed & (flags::TF | flags::VM)) {
    cpu.attention = true;
    mode_changed(cpu);
  } else if (changed & flags::AC) {
    privilege_context_changed(cpu);
  }
}

// After a transfer that replaced CS, perhaps SS, CPL and RFLAGS. Between two 64-bit code segments only rights differ.
inline void control_transferred(Vcpu& cpu, bool was_code64, u64 old_flags) {
  const u64 changed = old_flags ^ cpu.rflags_rest;
  if (changed & cpu.rflags_rest & flags::IF) interrupts_enabled(cpu);
  if ((changed & (flags::TF | flags::VM)) || cpu.cpl == cpu.stop_cpl) cpu.attention = true;
  if (was_code64 && cpu.code64() && !(changed & (flags::TF | flags::VM)))
    privilege_context_changed(cpu);
  else
    mode_changed(cpu);
}

}  // namespace rondo::software
