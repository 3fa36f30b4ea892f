#include "core/kvm/exits.h"

#include <cerrno>

namespace rondo::kvm {

Exit exit_of(VcpuHandle& vcpu, int result) {
  kvm_run& run = vcpu.area();
  if (result == -EINTR || result == -EAGAIN) return Kicked{};
  if (result < 0) return Failed{refused("KVM_RUN", result).message};
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      return PortAccess{.port = run.io.port,
                        .size = run.io.size,
                        .count = run.io.count,
                        .in = run.io.direction == KVM_EXIT_IO_IN,
                        .data = reinterpret_cast<u8*>(&run) + run.io.data_offset};
    case KVM_EXIT_MMIO:
      return DeviceAccess{.address = GuestPhys{run.mmio.phys_addr},
                          .size = run.mmio.len,
                          .write = run.mmio.is_write != 0,
                          .data = run.mmio.data};
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
      return MsrAccess{.index = run.msr.index, .write = run.exit_reason == KVM_EXIT_X86_WRMSR};
    case KVM_EXIT_HLT:
      return Halted{};
    case KVM_EXIT_SHUTDOWN:
      return ShutDown{};
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return WindowOpen{};
    case KVM_EXIT_SET_TPR:
      return TprLowered{};
    case KVM_EXIT_INTR:
      return Kicked{};
    case KVM_EXIT_INTERNAL_ERROR:
      return Unemulated{run.internal.suberror};
    case KVM_EXIT_FAIL_ENTRY:
      return Failed{"KVM could not enter the guest: hardware reason " +
                    std::to_string(run.fail_entry.hardware_entry_failure_reason) + std::string(kAdvice)};
    default:
      return Failed{"KVM left the guest for reason " + std::to_string(run.exit_reason) +
                    ", which this program does not know" + std::string(kAdvice)};
  }
}

}  // namespace rondo::kvm
