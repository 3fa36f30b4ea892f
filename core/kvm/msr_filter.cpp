#include "core/kvm/msr_filter.h"

#include "core/cpu/registers.h"

namespace rondo::kvm {

Status install_msr_filter(Vm& vm) {
  constexpr u32 kArchitecturalEnd = 0x2000, kExtended = 0xc0000000, kAmd = 0xc0010000, kHypervisor = 0x40000000,
                kKvm = 0x4b564d00;
  const auto range = [](u32 first, u32 end) { return Vm::MsrRange{first, end - first}; };
  const Vm::MsrRange ranges[] = {
      range(0, msr::SYSENTER_CS),
      range(msr::SYSENTER_EIP + 1, msr::X2APIC_FIRST),
      range(msr::X2APIC_LAST + 1, kArchitecturalEnd),
      range(kExtended, msr::EFER),
      range(msr::SFMASK + 1, msr::FS_BASE),
      range(msr::TSC_AUX + 1, kExtended + 0x2000),
      range(kAmd, kAmd + 0x2000),
      range(kHypervisor, kHypervisor + 0x1000),
      range(kKvm, kKvm + 0x100),
  };
  return vm.filter_msrs(ranges);
}

}  // namespace rondo::kvm
