#include "core/software/system/msr.h"

#include "core/cpu/cpuid.h"
#include "core/software/mode.h"
#include "core/software/system/segment.h"

namespace rondo::software {
namespace {

// IA32_ARCH_CAPABILITIES: a machine that does not speculate is immune to all that is enumerated here (SDM 4 table 2-2).
namespace arch_capabilities {
constexpr u64 RDCL_NO = 1 << 0, SKIP_L1DFL = 1 << 3, SSB_NO = 1 << 4, MDS_NO = 1 << 5, PSCHANGE_MC_NO = 1 << 6,
              TAA_NO = 1 << 8, SBDR_SSDP_NO = 1 << 13, FBSDP_NO = 1 << 14, PSDP_NO = 1 << 15, BHI_NO = 1 << 20,
              PBRSB_NO = 1 << 24, GDS_NO = 1 << 26, RFDS_NO = 1 << 27;
constexpr u64 kValue = RDCL_NO | SKIP_L1DFL | SSB_NO | MDS_NO | PSCHANGE_MC_NO | TAA_NO | SBDR_SSDP_NO | FBSDP_NO |
                       PSDP_NO | BHI_NO | PBRSB_NO | GDS_NO | RFDS_NO;
}  // namespace arch_capabilities

constexpr u64 kFeatureControl = 1;              // locked, nothing enabled
constexpr u64 kMtrrCap = 8 | 1 << 8 | 1 << 10;  // 8 variable ranges, fixed ranges, write-combining
constexpr u64 kPhysicalMask = (u64{1} << kPhysicalAddressBits) - 1;
constexpr u32 kMtrrVariableLast = msr::MTRR_PHYSBASE0 + 15;
constexpr u32 kMtrrFixedLast = msr::MTRR_FIX4K_C0000 + 7;
constexpr u64 kMiscEnableWritable = 1;  // fast strings
constexpr u32 kP5McAddr = 0, kP5McType = 1;

bool is_memory_type(u64 type) { return type == 0 || type == 1 || (type >= 4 && type <= 6); }

bool are_memory_types(u64 value, bool pat) {
  for (unsigned i = 0; i < 64; i += 8) {
    const u64 type = value >> i & 0xff;
    if (!is_memory_type(type) && !(pat && type == 7)) return false;
  }
  return true;
}

// The place of a fixed-range MTRR in CpuState::mtrr_fixed, or null.
u64* fixed_mtrr(Vcpu& cpu, u32 index) {
  if (index == msr::MTRR_FIX64K) return &cpu.arch.mtrr_fixed[0];
  if (index == msr::MTRR_FIX16K_80000) return &cpu.arch.mtrr_fixed[1];
  if (index == msr::MTRR_FIX16K_A0000) return &cpu.arch.mtrr_fixed[2];
  if (index >= msr::MTRR_FIX4K_C0000 && index <= kMtrrFixedLast)
    return &cpu.arch.mtrr_fixed[3 + index - msr::MTRR_FIX4K_C0000];
  return nullptr;
}

bool is_variable_mtrr(u32 index) { return index >= msr::MTRR_PHYSBASE0 && index <= kMtrrVariableLast; }

bool write_variable_mtrr(Vcpu& cpu, u32 index, u64 value) {
  const bool is_mask = index & 1;
  const u64 reserved = ~kPhysicalMask | (is_mask ? 0x7ff : 0xf00);
  if ((value & reserved) || (!is_mask && !is_memory_type(value & 0xff))) return false;
  cpu.arch.mtrr_variable[index - msr::MTRR_PHYSBASE0] = value;
  return true;
}

bool write_efer(Vcpu& cpu, u64 value) {
  constexpr u64 kWritable = efer::SCE | efer::LME | efer::NXE;
  if (value & ~(kWritable | efer::LMA)) return false;
  // LME is fixed while paging is on (SDM 3A 9.8.5).
  if ((cpu.arch.cr0 & cr0::PG) && ((value ^ cpu.arch.efer) & efer::LME)) return false;
  const u64 old = cpu.arch.efer;
  cpu.arch.efer = (value & kWritable) | (old & efer::LMA);
  if (cpu.arch.efer != old) mode_changed(cpu);
  return true;
}

void set_tsc_offset(Vcpu& cpu, u64 offset) {
  cpu.arch.tsc_offset = offset;
  cpu.apic->set_tsc_offset(offset);
}

// A write to either of TSC and TSC_ADJUST moves both (SDM 3B 17.17.3).
void write_tsc(Vcpu& cpu, u64 value) {
  const u64 delta = value - cpu.tsc();
  cpu.arch.tsc_adjust += delta;
  set_tsc_offset(cpu, cpu.arch.tsc_offset + delta);
}

void write_tsc_adjust(Vcpu& cpu, u64 value) {
  const u64 delta = value - cpu.arch.tsc_adjust;
  cpu.arch.tsc_adjust = value;
  set_tsc_offset(cpu, cpu.arch.tsc_offset + delta);
}

bool set_canonical(u64& target, u64 value) {
  if (!is_canonical(value)) return false;
  target = value;
  return true;
}

bool set_low32(u64& target, u64 value) {
  if (value >> 32) return false;
  target = value;
  return true;
}

bool write_base(Vcpu& cpu, unsigned name, u64 value) {
  if (!is_canonical(value)) return false;
  cpu.arch.segment[name].base = value;
  cpu.slots[segment_slot(name) / 8] = value;
  return true;
}

}  // namespace

bool read_msr(Vcpu& cpu, u32 index, u64& value) {
  if (cpu.apic->owns_msr(index)) return cpu.apic->read_msr(index, value);
  const CpuState& a = cpu.arch;
  switch (index) {
    case msr::FS_BASE:
      value = a.segment[FS].base;
      return true;
    case msr::GS_BASE:
      value = a.segment[GS].base;
      return true;
    case msr::KERNEL_GS_BASE:
      value = a.kernel_gs_base;
      return true;
    case msr::TSC:
      value = cpu.tsc();
      return true;
    case msr::TSC_ADJUST:
      value = a.tsc_adjust;
      return true;
    case msr::TSC_AUX:
      value = a.tsc_aux;
      return true;
    case msr::EFER:
      value = a.efer;
      return true;
    case msr::STAR:
      value = a.star;
      return true;
    case msr::LSTAR:
      value = a.lstar;
      return true;
    case msr::CSTAR:
      value = a.cstar;
      return true;
    case msr::SFMASK:
      value = a.sfmask;
      return true;
    case msr::SYSENTER_CS:
      value = a.sysenter_cs;
      return true;
    case msr::SYSENTER_ESP:
      value = a.sysenter_esp;
      return true;
    case msr::SYSENTER_EIP:
      value = a.sysenter_eip;
      return true;
    case msr::PAT:
      value = a.pat;
      return true;
    case msr::MISC_ENABLE:
      value = a.misc_enable;
      return true;
    case msr::FEATURE_CONTROL:
      value = kFeatureControl;
      return true;
    case msr::BIOS_SIGN_ID:
      value = u64{kMicrocodeRevision} << 32;
      return true;
    case msr::ARCH_CAPABILITIES:
      value = arch_capabilities::kValue;
      return true;
    case msr::MTRRCAP:
      value = kMtrrCap;
      return true;
    case msr::MTRR_DEF_TYPE:
      value = a.mtrr_def_type;
      return true;
    case msr::MCG_CAP:
      value = 0;
      return true;  // no banks
    case msr::MCG_STATUS:
      value = a.mcg_status;
      return true;
    case kP5McAddr:
    case kP5McType:
      value = 0;
      return true;
    default:
      break;
  }
  if (is_variable_mtrr(index)) {
    value = a.mtrr_variable[index - msr::MTRR_PHYSBASE0];
    return true;
  }
  if (const u64* fixed = fixed_mtrr(cpu, index)) {
    value = *fixed;
    return true;
  }
  return false;
}

bool write_msr(Vcpu& cpu, u32 index, u64 value) {
  if (cpu.apic->owns_msr(index)) return cpu.apic->write_msr(index, value);
  CpuState& a = cpu.arch;
  switch (index) {
    case msr::FS_BASE:
      return write_base(cpu, FS, value);
    case msr::GS_BASE:
      return write_base(cpu, GS, value);
    case msr::KERNEL_GS_BASE:
      return set_canonical(a.kernel_gs_base, value);
    case msr::TSC:
      write_tsc(cpu, value);
      return true;
    case msr::TSC_ADJUST:
      write_tsc_adjust(cpu, value);
      return true;
    case msr::TSC_AUX:
      return set_low32(a.tsc_aux, value);
    case msr::EFER:
      return write_efer(cpu, value);
    case msr::STAR:
      a.star = value;
      return true;
    case msr::LSTAR:
      return set_canonical(a.lstar, value);
    case msr::CSTAR:
      return set_canonical(a.cstar, value);
    case msr::SFMASK:
      return set_low32(a.sfmask, value);
    case msr::SYSENTER_CS:
      return set_low32(a.sysenter_cs, value);
    case msr::SYSENTER_ESP:
      return set_canonical(a.sysenter_esp, value);
    case msr::SYSENTER_EIP:
      return set_canonical(a.sysenter_eip, value);
    case msr::PAT:
      if (!are_memory_types(value, true)) return false;
      a.pat = value;
      return true;
    case msr::MISC_ENABLE:
      a.misc_enable = (a.misc_enable & ~kMiscEnableWritable) | (value & kMiscEnableWritable);
      return true;
    case msr::BIOS_SIGN_ID:
      return true;  // software writes 0 before it asks CPUID for the revision
    case msr::MTRR_DEF_TYPE:
      if ((value & ~u64{0xcff}) || !is_memory_type(value & 0xff)) return false;
      a.mtrr_def_type = value;
      return true;
    case msr::MCG_STATUS:
      if (value & ~u64{7}) return false;
      a.mcg_status = value;
      return true;
    case kP5McAddr:
    case kP5McType:
      return value == 0;
    default:
      break;
  }
  if (is_variable_mtrr(index)) return write_variable_mtrr(cpu, index, value);
  if (u64* fixed = fixed_mtrr(cpu, index)) {
    if (!are_memory_types(value, false)) return false;
    *fixed = value;
    return true;
  }
  return false;
}

}  // namespace rondo::software
