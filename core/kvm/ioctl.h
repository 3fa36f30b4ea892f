// The one place where KVM's ioctls are called: a descriptor with its errors as values.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::kvm {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  // The ioctl's own result, or a negative errno. Tried again after signals and where the kernel says so: KVM_RUN, which
  // must not be, has its own call.
  int call(unsigned long request, void* argument) const;
  int call(unsigned long request, u64 argument = 0) const { return call(request, reinterpret_cast<void*>(argument)); }

 private:
  int fd_ = -1;
};

// What to do when KVM fails: the end of such an error's line.
inline constexpr std::string_view kAdvice =
    " (rondo doctor says what this host can do; --engine software works everywhere)";
// "KVM refused KVM_SET_SREGS: Invalid argument". `result` is a negative errno.
Error refused(std::string_view what, int result);
inline Status outcome(std::string_view what, int result) {
  return result < 0 ? Status(refused(what, result)) : success();
}

}  // namespace rondo::kvm
