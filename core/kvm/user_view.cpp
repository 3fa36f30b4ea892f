#include "core/kvm/user_view.h"

#include "core/cpu/canonical.h"
#include "core/kvm/state.h"

namespace rondo::kvm {
namespace {

// Where SYSCALL goes on hosts that execute it although it is off: no program can have a page there.
constexpr u64 kNoSystemCalls = 0xffff'8000'0000'0000;
constexpr u64 kSyncedRegisters = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
constexpr u64 kEnabledBreakpoints = 0xff;  // of DR7

bool same(const XsaveArea& a, const XsaveArea& b) { return a.bytes == b.bytes; }

}  // namespace

Result<bool> is_behind(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& s,
                       std::span<const u8> instruction) {
  u64 linear = s.segment[CS].base + s.rip - instruction.size();
  for (const u8 expected : instruction) {
    const auto physical = vcpu.translate(linear++);
    if (!physical) return physical.error();
    const u8* byte = *physical ? memory.host(**physical) : nullptr;
    if (!byte || *byte != expected) return false;
  }
  return true;
}

Result<bool> is_behind_int3(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& s) {
  constexpr u8 kInt3[] = {0xcc};
  return is_behind(vcpu, memory, s, kInt3);
}

// Some hosts' KVM loses NT, never checks alignment, and emulates code whose RSP is not canonical, not always rightly.
UserView::Fit UserView::fit(const CpuState& s, bool host_descriptors) {
  const bool user = (s.cr0 & cr0::PE) && ((s.rflags & flags::VM) || (s.segment[CS].selector & 3) == 3);
  if (!user) return Fit::supervisor;
  const bool checks_alignment = (s.rflags & flags::AC) && (s.cr0 & cr0::AM);
  if (!(s.efer & efer::LMA) || (host_descriptors && !s.segment[CS].l) || (s.rflags & (flags::TF | flags::NT)) ||
      checks_alignment || !is_canonical(s.gpr[RSP]) || (s.dr7 & kEnabledBreakpoints))
    return Fit::other_code;
  const bool settled =
      s.activity == Activity::running && !s.pending_debug && !s.sti_shadow && !s.mov_ss_shadow && !s.nmi_pending;
  return settled ? Fit::fits : Fit::not_yet;
}

Status UserView::prepare() {
  const VcpuHandle::Msr msrs[] = {{msr::SYSENTER_CS, 0},
                                  {msr::STAR, 0},
                                  {msr::LSTAR, kNoSystemCalls},
                                  {msr::CSTAR, kNoSystemCalls},
                                  {msr::SFMASK, 0}};
  if (Status set = vcpu_.set_msrs(msrs); !set) return set;
  vcpu_.area().kvm_valid_regs = kSyncedRegisters;
  prepared_ = true;
  return success();
}

Status UserView::enter(const CpuState& s, u64 apic_base) {
  if (!prepared_) {
    if (Status done = prepare(); !done) return done;
  }
  kvm_run& area = vcpu_.area();
  area.s.regs.regs = to_regs(s);
  area.s.regs.regs.rflags &= ~flags::RF;  // no breakpoints here that it could hold off
  kvm_sregs& sregs = area.s.regs.sregs;
  sregs = to_sregs(s, apic_base);
  sregs.idt = {};
  sregs.efer &= ~efer::SCE;
  sregs.cr4 |= cr4::TSD;
  area.s.regs.events = {};
  area.s.regs.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  area.kvm_dirty_regs = kSyncedRegisters;
  const XsaveArea wanted = to_xsave(s);
  if (loaded_ && same(*loaded_, wanted)) return success();
  loaded_ = wanted;
  return vcpu_.set_xsave(wanted);
}

Status UserView::leave(CpuState& s) const {
  const kvm_run& area = vcpu_.area();
  take_regs(area.s.regs.regs, s);
  take_segments(area.s.regs.sregs, s);
  const Result<XsaveArea> xsave = vcpu_.xsave();
  if (!xsave) return xsave.error();
  from_xsave(*xsave, s);
  loaded_ = to_xsave(s);
  constexpr u64 kSyscallBytes = 2;
  in_system_call_ = s.rip == kNoSystemCalls;  // a kick may come there too
  if (in_system_call_) s.rip = s.gpr[RCX] - kSyscallBytes;
  return success();
}

// Faults leave RF set and RIP on the instruction; INT3 has gone on. With TF a single step has ended.
Status UserView::take_back(CpuState& s) const {
  if (!in_system_call_ && !(s.rflags & flags::RF)) {
    if (s.rflags & flags::TF) {
      s.pending_debug |= dr6::BS;
    } else {
      const Result<bool> behind = is_behind_int3(vcpu_, memory_, s);
      if (!behind) return behind.error();
      if (*behind) s.rip -= 1;
    }
  }
  s.rflags &= ~flags::RF;
  return success();
}

}  // namespace rondo::kvm
