#include "harness/registers.h"

#include <fmt/format.h>

#include <array>

namespace rondo {
namespace {

constexpr std::array<std::string_view, 16> kGprNames{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
struct SegmentNames {
  std::string_view selector, base, limit, rights;
};
constexpr std::array<SegmentNames, 8> kSegmentNames{{{"es", "es.base", "es.limit", "es.rights"},
                                                     {"cs", "cs.base", "cs.limit", "cs.rights"},
                                                     {"ss", "ss.base", "ss.limit", "ss.rights"},
                                                     {"ds", "ds.base", "ds.limit", "ds.rights"},
                                                     {"fs", "fs.base", "fs.limit", "fs.rights"},
                                                     {"gs", "gs.base", "gs.limit", "gs.rights"},
                                                     {"ldtr", "ldtr.base", "ldtr.limit", "ldtr.rights"},
                                                     {"tr", "tr.base", "tr.limit", "tr.rights"}}};
constexpr std::array<std::string_view, 4> kDebugNames{"dr0", "dr1", "dr2", "dr3"};
constexpr std::array<std::string_view, 16> kXmmNames{"xmm0",  "xmm1",  "xmm2",  "xmm3", "xmm4",  "xmm5",
                                                     "xmm6",  "xmm7",  "xmm8",  "xmm9", "xmm10", "xmm11",
                                                     "xmm12", "xmm13", "xmm14", "xmm15"};
constexpr std::array<std::string_view, 8> kX87Names{"fr0", "fr1", "fr2", "fr3", "fr4", "fr5", "fr6", "fr7"};
constexpr std::array<std::string_view, 11> kFixedMtrrNames{
    "mtrr-64k-00000", "mtrr-16k-80000", "mtrr-16k-a0000", "mtrr-4k-c0000", "mtrr-4k-c8000", "mtrr-4k-d0000",
    "mtrr-4k-d8000",  "mtrr-4k-e0000",  "mtrr-4k-e8000",  "mtrr-4k-f0000", "mtrr-4k-f8000"};
constexpr std::array<std::string_view, 16> kVariableMtrrNames{
    "mtrr-base0", "mtrr-mask0", "mtrr-base1", "mtrr-mask1", "mtrr-base2", "mtrr-mask2", "mtrr-base3", "mtrr-mask3",
    "mtrr-base4", "mtrr-mask4", "mtrr-base5", "mtrr-mask5", "mtrr-base6", "mtrr-mask6", "mtrr-base7", "mtrr-mask7"};

// The hidden attributes, packed as in a descriptor's second word (SDM 3A 3.4.5).
u64 rights(const Segment& s) {
  return u64{s.type} << 8 | u64{s.s} << 12 | u64{s.dpl} << 13 | u64{s.present} << 15 | u64{s.avl} << 20 |
         u64{s.l} << 21 | u64{s.db} << 22 | u64{s.g} << 23;
}

}  // namespace

std::vector<RegisterValue> register_values(const CpuState& cpu) {
  std::vector<RegisterValue> values;
  values.reserve(160);
  const auto add = [&](std::string_view name, u64 value) { values.push_back({.name = name, .low = value}); };
  const auto add_wide = [&](std::string_view name, u64 high, u64 low) {
    values.push_back({.name = name, .low = low, .high = high, .wide = true});
  };
  for (unsigned i = 0; i < kGprNames.size(); ++i) add(kGprNames[i], cpu.gpr[i]);
  add("rip", cpu.rip);
  add("rflags", cpu.rflags);
  for (unsigned i = 0; i < kSegmentNames.size(); ++i) {
    const Segment& s = i < 6 ? cpu.segment[i] : i == 6 ? cpu.ldtr : cpu.tr;
    add(kSegmentNames[i].selector, s.selector);
    add(kSegmentNames[i].base, s.base);
    add(kSegmentNames[i].limit, s.limit);
    add(kSegmentNames[i].rights, rights(s));
  }
  add("gdtr", cpu.gdtr.base);
  add("gdtr.limit", cpu.gdtr.limit);
  add("idtr", cpu.idtr.base);
  add("idtr.limit", cpu.idtr.limit);
  add("cr0", cpu.cr0);
  add("cr2", cpu.cr2);
  add("cr3", cpu.cr3);
  add("cr4", cpu.cr4);
  add("cr8", cpu.cr8);
  add("efer", cpu.efer);
  for (unsigned i = 0; i < kDebugNames.size(); ++i) add(kDebugNames[i], cpu.dr[i]);
  add("dr6", cpu.dr6);
  add("dr7", cpu.dr7);
  for (unsigned i = 0; i < kXmmNames.size(); ++i) add_wide(kXmmNames[i], cpu.xmm[i].lane[1], cpu.xmm[i].lane[0]);
  add("mxcsr", cpu.mxcsr);
  for (unsigned i = 0; i < kX87Names.size(); ++i)
    add_wide(kX87Names[i], cpu.fpu.sign_exponent[i], cpu.fpu.significand[i]);
  add("fcw", cpu.fpu.control);
  add("fsw", cpu.fpu.status);
  add("ftw", cpu.fpu.valid);
  add("fop", cpu.fpu.opcode);
  add("fip", cpu.fpu.instruction_pointer);
  add("fcs", cpu.fpu.instruction_selector);
  add("fdp", cpu.fpu.data_pointer);
  add("fds", cpu.fpu.data_selector);
  add("tsc-offset", cpu.tsc_offset);
  add("tsc-adjust", cpu.tsc_adjust);
  add("sysenter-cs", cpu.sysenter_cs);
  add("sysenter-esp", cpu.sysenter_esp);
  add("sysenter-eip", cpu.sysenter_eip);
  add("star", cpu.star);
  add("lstar", cpu.lstar);
  add("cstar", cpu.cstar);
  add("sfmask", cpu.sfmask);
  add("kernel-gs-base", cpu.kernel_gs_base);
  add("tsc-aux", cpu.tsc_aux);
  add("pat", cpu.pat);
  add("misc-enable", cpu.misc_enable);
  add("spec-ctrl", cpu.spec_ctrl);
  add("mtrr-def-type", cpu.mtrr_def_type);
  for (unsigned i = 0; i < kFixedMtrrNames.size(); ++i) add(kFixedMtrrNames[i], cpu.mtrr_fixed[i]);
  for (unsigned i = 0; i < kVariableMtrrNames.size(); ++i) add(kVariableMtrrNames[i], cpu.mtrr_variable[i]);
  add("mcg-status", cpu.mcg_status);
  add("activity", static_cast<u64>(cpu.activity));
  add("sti-shadow", cpu.sti_shadow);
  add("mov-ss-shadow", cpu.mov_ss_shadow);
  add("nmi-pending", cpu.nmi_pending);
  add("nmi-blocked", cpu.nmi_blocked);
  add("pending-debug", cpu.pending_debug);
  return values;
}

std::string format_value(const RegisterValue& value) {
  if (!value.wide) return fmt::format("{:x}", value.low);
  if (value.name[0] == 'f') return fmt::format("{:04x}{:016x}", value.high, value.low);  // x87: 80 bits
  return fmt::format("{:016x}{:016x}", value.high, value.low);
}

}  // namespace rondo
