#include "core/software/mode.h"

#include "core/software/code_cache.h"
#include "core/software/paging.h"

namespace rondo::software {
namespace {

// LEN/RW pairs start at bit 16, enables (L, G) at bit 0; type 0 is execution (SDM 3B 17.2.4).
bool any_breakpoint(u64 dr7, bool execution) {
  for (unsigned i = 0; i < 4; ++i) {
    const bool enabled = dr7 >> (2 * i) & 3;
    const bool executes = (dr7 >> (16 + 4 * i) & 3) == 0;
    if (enabled && executes == execution) return true;
  }
  return false;
}

}  // namespace

bool data_breakpoints_enabled(u64 dr7) { return any_breakpoint(dr7, false); }
bool instruction_breakpoints_enabled(u64 dr7) { return any_breakpoint(dr7, true); }

void privilege_context_changed(Vcpu& cpu) {
  const u64 context = cpu.mmu->context(cpu);
  const bool user = cpu.cpl == 3;
  cpu.code_epoch = cpu.code->epoch_of(cpu.mmu->code_context(user), user);
  cpu.tlb_context = alignment_checked(cpu) || data_breakpoints_enabled(cpu.arch.dr7) ? kSlowContext : context;
}

void mode_changed(Vcpu& cpu) {
  cpu.mmu->select_address_space(cpu);
  cpu.rip_mask = cpu.code64() ? ~u64{0} : 0xffffffff;
  cpu.code->select_mode(CodeKey::of(cpu));
  privilege_context_changed(cpu);
}

bool code_store(Vcpu& cpu, const u8* host, unsigned size) {
  if (!cpu.code->store(host, size)) return false;
  cpu.code_generation = cpu.code->generation();
  privilege_context_changed(cpu);
  cpu.attention = true;
  return true;
}

bool needs_single_steps(const Vcpu& cpu) {
  if (cpu.rflags_rest & flags::TF) return true;
  if (cpu.arch.sti_shadow || cpu.arch.mov_ss_shadow) return true;
  if (instruction_breakpoints_enabled(cpu.arch.dr7)) return true;
  return !cpu.code64() && cpu.arch.segment[CS].limit != 0xffffffff;
}

}  // namespace rondo::software
