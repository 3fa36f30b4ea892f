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
  int result;
  do {
    result = ioctl(fd_, request, argument);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

Error refused(std::string_view what, int result) {
  return Error{"KVM refused " + std::string(what) + ": " + std::generic_category().message(-result) +
               " (rondo doctor says what this host can do; --engine software works everywhere)"};
}

}  // namespace rondo::kvm
