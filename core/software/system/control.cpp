#include "core/software/system/control.h"

#include "core/software/system/descriptor.h"

namespace rondo::software {
namespace {

constexpr u64 kCr0Defined =
    cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::NE | cr0::WP | cr0::AM | cr0::NW | cr0::CD | cr0::PG;
constexpr u64 kCr4Defined = cr4::TSD | cr4::DE | cr4::PSE | cr4::PAE | cr4::MCE | cr4::PGE | cr4::PCE | cr4::OSFXSR |
                            cr4::OSXMMEXCPT | cr4::FSGSBASE | cr4::SMEP | cr4::SMAP;

// PAE paging outside IA-32e mode: the four page-directory-pointer entries are checked when CR3 is loaded (SDM
// 3A 4.4.1). They are read again by every walk, so that there is no hidden copy of them; the difference shows only to
// software that changes them without loading CR3.
bool valid_pdptes(const Vcpu& cpu, u64 cr3) {
  constexpr u64 kReserved = (~u64{0} << kPhysicalAddressBits) | 0x1e6;
  for (unsigned i = 0; i < 4; ++i) {
    const u8* host = cpu.memory->host(GuestPhys{(cr3 & 0xffffffe0) + 8 * i});
    if (!host) continue;
    u64 entry;
    std::memcpy(&entry, host, sizeof entry);
    if ((entry & 1) && (entry & kReserved)) return false;
  }
  return true;
}

bool pae_without_long_mode(u64 cr0_value, u64 cr4_value, u64 efer_value) {
  return (cr0_value & cr0::PG) && (cr4_value & cr4::PAE) && !(efer_value & efer::LMA);
}

}  // namespace

u64 read_control(Vcpu& cpu, unsigned n) {
  switch (n) {
    case 0:
      return cpu.arch.cr0;
    case 2:
      return cpu.arch.cr2;
    case 3:
      return cpu.arch.cr3;
    case 4:
      return cpu.arch.cr4;
    default:
      return cpu.apic->read_cr8();
  }
}

void set_cr0(Vcpu& cpu, u64 value) {
  if (value >> 32) throw fault_gp(0);
  value = (value & kCr0Defined) | cr0::ET;
  if ((value & cr0::PG) && !(value & cr0::PE)) throw fault_gp(0);
  if ((value & cr0::NW) && !(value & cr0::CD)) throw fault_gp(0);
  CpuState& a = cpu.arch;
  u64 efer_value = a.efer;
  const bool paging_on = (value & ~a.cr0) & cr0::PG, paging_off = (~value & a.cr0) & cr0::PG;
  if (paging_on && (a.efer & efer::LME)) {
    // SDM 3A 9.8.5: IA-32e mode begins here.
    const bool tss16 = a.tr.type == static_cast<u8>(SystemType::tss16_available) ||
                       a.tr.type == static_cast<u8>(SystemType::tss16_busy);
    if (!(a.cr4 & cr4::PAE) || a.segment[CS].l || tss16) throw fault_gp(0);
    efer_value |= efer::LMA;
  } else if (paging_off) {
    if (cpu.code64()) throw fault_gp(0);
    efer_value &= ~efer::LMA;
  }
  const bool pae_changes = (value ^ a.cr0) & (cr0::PG | cr0::CD | cr0::NW);
  if (pae_changes && pae_without_long_mode(value, a.cr4, efer_value) && !valid_pdptes(cpu, a.cr3)) throw fault_gp(0);
  a.cr0 = value;
  a.efer = efer_value;
  ++cpu.flushes;
  mode_changed(cpu);
}

bool is_valid_cr3(const Vcpu& cpu, u64 value) { return !cpu.long_mode() || !(value >> kPhysicalAddressBits); }

void set_cr3(Vcpu& cpu, u64 value) {
  if (!is_valid_cr3(cpu, value)) throw fault_gp(0);
  if (pae_without_long_mode(cpu.arch.cr0, cpu.arch.cr4, cpu.arch.efer) && !valid_pdptes(cpu, value)) throw fault_gp(0);
  cpu.arch.cr3 = value;
  ++cpu.flushes;
  mode_changed(cpu);
}

void set_cr4(Vcpu& cpu, u64 value) {
  if (value & ~kCr4Defined) throw fault_gp(0);
  CpuState& a = cpu.arch;
  if ((a.efer & efer::LMA) && !(value & cr4::PAE)) throw fault_gp(0);
  const bool pae_changes = (value ^ a.cr4) & (cr4::PAE | cr4::PGE | cr4::PSE | cr4::SMEP);
  if (pae_changes && pae_without_long_mode(a.cr0, value, a.efer) && !valid_pdptes(cpu, a.cr3)) throw fault_gp(0);
  a.cr4 = value;
  ++cpu.flushes;
  mode_changed(cpu);
}

}  // namespace rondo::software
