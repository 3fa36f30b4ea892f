// /dev/kvm itself.
#pragma once

#include <memory>
#include <vector>

#include "core/cpu/cpuid.h"
#include "core/kvm/ioctl.h"
#include "core/kvm/vm.h"

namespace rondo::kvm {

enum class Availability : u8 {
  usable,
  missing,        // no such device: no virtualization here, or its module is not loaded
  no_permission,  // it is there, but not for this user
  unusable        // it is there, but does not answer as KVM does, or lacks what we need
};

inline constexpr char kDevicePath[] = "/dev/kvm";

class System {
 public:
  struct Opened {
    Availability availability = Availability::usable;
    std::unique_ptr<System> system;  // with usable
    Error error;                     // otherwise: why, and what to do
  };
  static Opened open(const char* path = kDevicePath);

  // KVM_CHECK_EXTENSION: 0: absent.
  int capability(int number) const;
  Result<std::unique_ptr<Vm>> create_vm() const;
  u64 run_area_bytes() const { return run_area_bytes_; }

 private:
  System(Descriptor fd, u64 run_area_bytes) : fd_(std::move(fd)), run_area_bytes_(run_area_bytes) {}
  Descriptor fd_;
  u64 run_area_bytes_;
};

}  // namespace rondo::kvm
