// One vCPU of KVM: its registers by kind, and KVM_RUN.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "core/kvm/ioctl.h"

namespace rondo::kvm {

// What XSAVE writes in its standard format (SDM 1 13.4). KVM_GET_FPU would do but for MXCSR, which it leaves out. The
// kernel's headers give the structure another size in C++ than in C, so it and its ioctls are spelled out here.
struct XsaveArea {
  alignas(64) std::array<u8, 4096> bytes{};
};
inline constexpr unsigned long kGetXsave = _IOC(_IOC_READ, KVMIO, 0xa4, sizeof(XsaveArea));
inline constexpr unsigned long kSetXsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, sizeof(XsaveArea));

class VcpuHandle {
 public:
  VcpuHandle(Descriptor fd, kvm_run* run, u64 run_bytes) : fd_(std::move(fd)), run_(run), run_bytes_(run_bytes) {}
  ~VcpuHandle();
  VcpuHandle(const VcpuHandle&) = delete;
  VcpuHandle& operator=(const VcpuHandle&) = delete;

  // With the guest's CR4.TSD the host's own is set while it runs (PR_SET_TSC of this thread): where KVM runs programs
  // under the host's CR4, the guest's alone has no effect.
  void trap_time_stamps(bool trap) { traps_time_stamps_ = trap; }

  // KVM_RUN. 0: look at area().exit_reason; otherwise a negative errno (-EINTR: a signal or immediate_exit).
  int run();
  kvm_run& area() { return *run_; }
  const kvm_run& area() const { return *run_; }
  // Finishes the I/O or MSR access of the last exit without executing anything more. -EINTR: the state is that after
  // it; 0: the same instruction has led to another exit.
  int complete();

  template <class T>
  Result<T> get(unsigned long request, const char* name) const {
    T value{};
    if (const int result = fd_.call(request, &value); result < 0) return refused(name, result);
    return value;
  }
  template <class T>
  Status set(unsigned long request, const T& value, const char* name) {
    T copy = value;
    return outcome(name, fd_.call(request, &copy));
  }

  Result<kvm_regs> regs() const { return get<kvm_regs>(KVM_GET_REGS, "KVM_GET_REGS"); }
  Status set_regs(const kvm_regs& v) { return set(KVM_SET_REGS, v, "KVM_SET_REGS"); }
  Result<kvm_sregs> sregs() const { return get<kvm_sregs>(KVM_GET_SREGS, "KVM_GET_SREGS"); }
  Status set_sregs(const kvm_sregs& v) { return set(KVM_SET_SREGS, v, "KVM_SET_SREGS"); }
  Result<XsaveArea> xsave() const { return get<XsaveArea>(kGetXsave, "KVM_GET_XSAVE"); }
  Status set_xsave(const XsaveArea& v) { return set(kSetXsave, v, "KVM_SET_XSAVE"); }
  Result<kvm_vcpu_events> events() const { return get<kvm_vcpu_events>(KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS"); }
  Status set_events(const kvm_vcpu_events& v) { return set(KVM_SET_VCPU_EVENTS, v, "KVM_SET_VCPU_EVENTS"); }
  Result<kvm_debugregs> debug_registers() const { return get<kvm_debugregs>(KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS"); }
  Status set_debug_registers(const kvm_debugregs& v) { return set(KVM_SET_DEBUGREGS, v, "KVM_SET_DEBUGREGS"); }
  Status set_guest_debug(const kvm_guest_debug& v) { return set(KVM_SET_GUEST_DEBUG, v, "KVM_SET_GUEST_DEBUG"); }

  // MSRs by index. Those that KVM does not know here are left out.
  struct Msr {
    u32 index;
    u64 value;
  };
  Result<std::vector<Msr>> msrs(std::span<const u32> indices) const;
  Status set_msrs(std::span<const Msr> msrs);
  // By the guest's page tables as they are now. None: not mapped.
  Result<std::optional<GuestPhys>> translate(u64 linear) const;
  Status set_cpuid(const std::vector<kvm_cpuid_entry2>& entries);

 private:
  Descriptor fd_;
  kvm_run* run_;
  u64 run_bytes_;
  bool traps_time_stamps_ = false;
};

}  // namespace rondo::kvm
