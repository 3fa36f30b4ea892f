// One virtual machine of KVM: memory slots and what is set for all of its vCPUs.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/kvm/ioctl.h"

namespace rondo::kvm {

class VcpuHandle;

class Vm {
 public:
  Vm(Descriptor fd, u64 run_area_bytes) : fd_(std::move(fd)), run_area_bytes_(run_area_bytes) {}

  Status set_memory(u32 slot, GuestPhys address, std::span<u8> host, bool log_writes);
  // One bit per page written since the last call, in a slot with log_writes of `bytes` bytes.
  Result<std::vector<u64>> take_dirty(u32 slot, u64 bytes) const;
  Status enable(u32 capability, std::string_view name, u64 argument);
  // RDMSR and WRMSR of these exit to us (KVM_X86_SET_MSR_FILTER); everything else stays with KVM.
  struct MsrRange {
    u32 first;
    u32 count;
  };
  Status filter_msrs(std::span<const MsrRange> ranges);
  int capability(int number) const;
  Result<std::unique_ptr<VcpuHandle>> create_vcpu() const;

 private:
  Descriptor fd_;
  u64 run_area_bytes_;
};

}  // namespace rondo::kvm
