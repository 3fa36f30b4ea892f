#include "core/kvm/ioctl.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rondo::kvm {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

int Descriptor::call(unsigned long request, void* argument) const {
  constexpr unsigned kMostTries = 10'000;  // a host that never gets on is an error, not a hang
  int result = -1;
  for (unsigned tries = 0; tries < kMostTries; ++tries) {
    result = ioctl(fd_, request, argument);
    if (result >= 0 || (errno != EINTR && errno != EAGAIN)) break;
  }
  return result < 0 ? -errno : result;
}

Error refused(std::string_view what, int result) {
  return Error{"KVM refused " + std::string(what) + ": " + std::generic_category().message(-result) +
               std::string(kAdvice)};
}

}  // namespace rondo::kvm
