#include "core/kvm/state.h"

#include <algorithm>
#include <cstring>

namespace rondo::kvm {
namespace {

kvm_segment to_kvm(const Segment& s) {
  return {.base = s.base,
          .limit = s.limit,
          .selector = s.selector,
          .type = s.type,
          .present = s.present,
          .dpl = s.dpl,
          .db = s.db,
          .s = s.s,
          .l = s.l,
          .g = s.g,
          .avl = s.avl,
          .unusable = !s.present,
          .padding = 0};
}

Segment from_kvm(const kvm_segment& s) {
  return {.selector = s.selector,
          .base = s.base,
          .limit = s.limit,
          .type = s.type,
          .s = s.s != 0,
          .dpl = s.dpl,
          .present = s.present && !s.unusable,
          .avl = s.avl != 0,
          .l = s.l != 0,
          .db = s.db != 0,
          .g = s.g != 0};
}

// KVM reports of a segment that cannot be used only its selector and base, and what else it has differs from host to
// host. Ours has the one form that a null selector gives it; the CPL is in SS.
void take_data_segment(Segment& mine, const kvm_segment& theirs, bool is_stack) {
  const Segment found = from_kvm(theirs);
  mine = found.present ? found
                       : Segment{.selector = found.selector,
                                 .base = found.base,
                                 .limit = 0,
                                 .type = 0,
                                 .dpl = is_stack ? found.dpl : u8{0},
                                 .present = false};
}

// LDTR, likewise.
void take_ldtr(Segment& mine, const kvm_segment& theirs) {
  mine = from_kvm(theirs);
  if (!mine.present)
    mine = Segment{.selector = mine.selector, .base = mine.base, .limit = 0, .type = 2, .s = false, .present = false};
}

// TR: what was there stays, until LTR.
void take_tr(Segment& mine, const kvm_segment& theirs) {
  const Segment found = from_kvm(theirs);
  if (!found.present && !mine.present) {
    mine.selector = found.selector;
    mine.base = found.base;
  } else {
    mine = found;
  }
}

constexpr Gpr kOrder[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP,
                            R8,  R9,  R10, R11, R12, R13, R14, R15};  // of kvm_regs

u64* registers_of(kvm_regs& regs) { return reinterpret_cast<u64*>(&regs); }
const u64* registers_of(const kvm_regs& regs) { return reinterpret_cast<const u64*>(&regs); }

// The legacy region of an XSAVE area (SDM 1 table 10-2) and the bitmap behind it.
constexpr std::size_t kFcw = 0, kFsw = 2, kFtw = 4, kFop = 6, kFip = 8, kFdp = 16, kMxcsr = 24, kSt = 32, kXmm = 160,
                      kXstateBv = 512;
constexpr u64 kX87AndSse = 3;

template <class T>
void put(XsaveArea& area, std::size_t at, const T& value) {
  std::memcpy(area.bytes.data() + at, &value, sizeof value);
}
template <class T>
void take(const XsaveArea& area, std::size_t at, T& value) {
  std::memcpy(&value, area.bytes.data() + at, sizeof value);
}

// MSRs that KVM needs to execute by; the rest is answered by us (core/kvm/msr_filter.h).
constexpr u32 kMsrs[] = {msr::SYSENTER_CS, msr::SYSENTER_ESP, msr::SYSENTER_EIP,   msr::STAR,   msr::LSTAR,
                         msr::CSTAR,       msr::SFMASK,       msr::KERNEL_GS_BASE, msr::TSC_AUX};

u64* msr_field(CpuState& s, u32 index) {
  switch (index) {
    case msr::SYSENTER_CS:
      return &s.sysenter_cs;
    case msr::SYSENTER_ESP:
      return &s.sysenter_esp;
    case msr::SYSENTER_EIP:
      return &s.sysenter_eip;
    case msr::STAR:
      return &s.star;
    case msr::LSTAR:
      return &s.lstar;
    case msr::CSTAR:
      return &s.cstar;
    case msr::SFMASK:
      return &s.sfmask;
    case msr::KERNEL_GS_BASE:
      return &s.kernel_gs_base;
    case msr::TSC_AUX:
      return &s.tsc_aux;
    default:
      return nullptr;
  }
}

void store_system(const kvm_sregs& r, CpuState& s) {
  take_segments(r, s);
  take_tr(s.tr, r.tr);
  take_ldtr(s.ldtr, r.ldt);
  s.gdtr = {r.gdt.base, r.gdt.limit};
  s.idtr = {r.idt.base, r.idt.limit};
  s.cr0 = r.cr0, s.cr2 = r.cr2, s.cr3 = r.cr3, s.cr4 = r.cr4, s.cr8 = r.cr8, s.efer = r.efer;
}

Status load_events(VcpuHandle& vcpu, const CpuState& s) {
  kvm_vcpu_events e{};
  e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  e.interrupt.shadow =
      static_cast<u8>((s.sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) | (s.mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0));
  e.nmi.masked = s.nmi_blocked;
  return vcpu.set_events(e);
}

// A single-step trap that waits for its delivery is a pending #DB for KVM and pending_debug for us.
void store_events(const kvm_vcpu_events& e, CpuState& s) {
  s.sti_shadow = e.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
  s.mov_ss_shadow = e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
  s.nmi_blocked = e.nmi.masked;
  if (e.exception.pending && e.exception.nr == kDB)
    s.pending_debug |= e.exception_has_payload ? e.exception_payload : dr6::BS;
}

}  // namespace

kvm_regs to_regs(const CpuState& s) {
  kvm_regs regs{};
  for (unsigned i = 0; i < 16; ++i) registers_of(regs)[i] = s.gpr[kOrder[i]];
  regs.rip = s.rip;
  regs.rflags = s.rflags;
  return regs;
}

void take_regs(const kvm_regs& regs, CpuState& s) {
  for (unsigned i = 0; i < 16; ++i) s.gpr[kOrder[i]] = registers_of(regs)[i];
  s.rip = regs.rip;
  s.rflags = regs.rflags;
}

kvm_sregs to_sregs(const CpuState& s, u64 apic_base) {
  kvm_sregs r{};
  r.cs = to_kvm(s.segment[CS]), r.ds = to_kvm(s.segment[DS]), r.es = to_kvm(s.segment[ES]);
  r.fs = to_kvm(s.segment[FS]), r.gs = to_kvm(s.segment[GS]), r.ss = to_kvm(s.segment[SS]);
  r.tr = to_kvm(s.tr), r.ldt = to_kvm(s.ldtr);
  r.gdt = {.base = s.gdtr.base, .limit = s.gdtr.limit, .padding = {}};
  r.idt = {.base = s.idtr.base, .limit = s.idtr.limit, .padding = {}};
  r.cr0 = s.cr0, r.cr2 = s.cr2, r.cr3 = s.cr3, r.cr4 = s.cr4, r.cr8 = s.cr8, r.efer = s.efer;
  r.apic_base = apic_base;
  return r;
}

void take_segments(const kvm_sregs& r, CpuState& s) {
  const std::pair<SegmentName, const kvm_segment*> list[] = {{CS, &r.cs}, {DS, &r.ds}, {ES, &r.es},
                                                             {FS, &r.fs}, {GS, &r.gs}, {SS, &r.ss}};
  for (const auto& [name, segment] : list) take_data_segment(s.segment[name], *segment, name == SS);
}

XsaveArea to_xsave(const CpuState& s) {
  XsaveArea area;
  put(area, kFcw, s.fpu.control);
  put(area, kFsw, s.fpu.status);
  put(area, kFtw, s.fpu.valid);
  put(area, kFop, s.fpu.opcode);
  put(area, kFip, s.fpu.instruction_pointer);
  put(area, kFdp, s.fpu.data_pointer);
  put(area, kMxcsr, s.mxcsr);
  const unsigned top = s.fpu.status >> 11 & 7;
  for (unsigned i = 0; i < 8; ++i) {  // ST(0) first
    const unsigned r = (top + i) & 7;
    put(area, kSt + 16 * i, s.fpu.significand[r]);
    put(area, kSt + 16 * i + 8, s.fpu.sign_exponent[r]);
  }
  for (unsigned i = 0; i < 16; ++i) put(area, kXmm + 16 * i, s.xmm[i].lane);
  put(area, kXstateBv, kX87AndSse);
  return area;
}

// A component that is not in the bitmap has its initial value, and its bytes mean nothing (SDM 1 13.6). The
// last-instruction pointers are not taken: a processor may drop them at any switch of the host (docs/kvm.md).
void from_xsave(const XsaveArea& area, CpuState& s) {
  constexpr u64 kX87 = 1, kSse = 2;
  u64 present = 0;
  take(area, kXstateBv, present);
  if (present & kX87) {
    take(area, kFcw, s.fpu.control);
    take(area, kFsw, s.fpu.status);
    take(area, kFtw, s.fpu.valid);
    const unsigned top = s.fpu.status >> 11 & 7;
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned r = (top + i) & 7;
      take(area, kSt + 16 * i, s.fpu.significand[r]);
      take(area, kSt + 16 * i + 8, s.fpu.sign_exponent[r]);
    }
  } else {
    s.fpu = FpuState{};
  }
  for (unsigned i = 0; i < 16; ++i) {
    s.xmm[i] = Xmm{};
    if (present & kSse) take(area, kXmm + 16 * i, s.xmm[i].lane);
  }
  take(area, kMxcsr, s.mxcsr);  // valid whatever the bitmap says
}

bool delivery_in_flight(const kvm_vcpu_events& e) {
  const bool exception =
      (e.exception.injected || e.exception.pending) && !(e.exception.pending && e.exception.nr == kDB);
  return exception || e.interrupt.injected || e.nmi.injected || e.nmi.pending;
}

Status load_state(VcpuHandle& vcpu, const CpuState& s, u64 apic_base) {
  if (Status set = vcpu.set_sregs(to_sregs(s, apic_base)); !set) return set;
  if (Status set = vcpu.set_regs(to_regs(s)); !set) return set;
  if (Status set = vcpu.set_xsave(to_xsave(s)); !set) return set;
  CpuState copy = s;
  std::vector<VcpuHandle::Msr> msrs;
  for (const u32 index : kMsrs) msrs.push_back({index, *msr_field(copy, index)});
  if (Status set = vcpu.set_msrs(msrs); !set) return set;
  kvm_debugregs debug{};
  for (unsigned i = 0; i < 4; ++i) debug.db[i] = s.dr[i];
  debug.dr6 = s.dr6, debug.dr7 = s.dr7;
  if (Status set = vcpu.set_debug_registers(debug); !set) return set;
  return load_events(vcpu, s);
}

Status store_state(const VcpuHandle& vcpu, CpuState& s) {
  auto regs = vcpu.regs();
  if (!regs) return regs.error();
  auto sregs = vcpu.sregs();
  if (!sregs) return sregs.error();
  auto xsave = vcpu.xsave();
  if (!xsave) return xsave.error();
  auto events = vcpu.events();
  if (!events) return events.error();
  auto debug = vcpu.debug_registers();
  if (!debug) return debug.error();
  const auto msrs = vcpu.msrs(kMsrs);
  if (!msrs) return msrs.error();
  take_regs(*regs, s);
  store_system(*sregs, s);
  from_xsave(*xsave, s);
  for (const VcpuHandle::Msr& m : *msrs) *msr_field(s, m.index) = m.value;
  for (unsigned i = 0; i < 4; ++i) s.dr[i] = debug->db[i];
  s.dr6 = debug->dr6, s.dr7 = debug->dr7;
  store_events(*events, s);
  return success();
}

}  // namespace rondo::kvm
