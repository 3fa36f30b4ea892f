// What must be recomputed when architectural state changes that the fast paths have folded into derived values.
#pragma once

#include "core/cpu/canonical.h"
#include "core/software/vcpu.h"

namespace rondo::software {

// To be called after any change of CR0, CR3, CR4, EFER, CPL, CS, SS (their hidden parts), RFLAGS.VM/AC/TF or DR7. Recomputes the TLB context, the code
// mode and whether the fast drive may be used.
void mode_changed(Vcpu& cpu);

// Whether misaligned accesses of the program raise #AC (SDM 3A 6.15, interrupt 17).
inline bool alignment_checked(const Vcpu& cpu) {
  return cpu.cpl == 3 && (cpu.arch.cr0 & cr0::AM) && (cpu.rflags_rest & flags::AC);
}

// Enough after a change of CPL or RFLAGS.AC alone, in the middle of a block: recomputes the TLB context and the code epoch only.
void privilege_context_changed(Vcpu& cpu);

// `size` bytes at `host` (within one page marked kPageHasCode) are being stored to. True if decoded code was dropped.
bool code_store(Vcpu& cpu, const u8* host, unsigned size);

// Whether instructions must be executed one by one: TF, instruction breakpoints, an interrupt shadow, a code segment with a small limit.
bool needs_single_steps(const Vcpu& cpu);

// DR7 enables a data or I/O breakpoint (SDM 3B 17.2.4).
bool data_breakpoints_enabled(u64 dr7);
bool instruction_breakpoints_enabled(u64 dr7);

}  // namespace rondo::software
