#include "core/kvm/system.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace rondo::kvm {
namespace {

constexpr int kApiVersion = 12;  // the only one there ever was

Availability from_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return Availability::missing;
    case EACCES:
    case EPERM:
      return Availability::no_permission;
    default:
      return Availability::unusable;
  }
}

Error explain(Availability availability, const std::string& path, int error) {
  const std::string why = std::generic_category().message(error);
  switch (availability) {
    case Availability::missing:
      return Error{path + " is not there (" + why +
                   "): load the kvm module, enable virtualization in the firmware or the hypervisor above, or use "
                   "--engine software"};
    case Availability::no_permission:
      return Error{path + " may not be used by this user (" + why +
                   "): join the group that owns it (usually kvm), or use --engine software"};
    default:
      return Error{path + " cannot be used (" + why + "): use --engine software"};
  }
}

}  // namespace

System::Opened System::open(const char* path) {
  Opened opened;
  const int raw = ::open(path, O_RDWR | O_CLOEXEC);
  if (raw < 0) {
    opened.availability = from_errno(errno);
    opened.error = explain(opened.availability, path, errno);
    return opened;
  }
  Descriptor fd(raw);
  const int version = fd.call(KVM_GET_API_VERSION);
  const int bytes = fd.call(KVM_GET_VCPU_MMAP_SIZE);
  if (version != kApiVersion || bytes < static_cast<int>(sizeof(kvm_run))) {
    opened.availability = Availability::unusable;
    opened.error = Error{std::string(path) + " does not answer as KVM does (API version " + std::to_string(version) +
                         ", expected " + std::to_string(kApiVersion) + "): use --engine software"};
    return opened;
  }
  opened.system.reset(new System(std::move(fd), static_cast<u64>(bytes)));
  return opened;
}

int System::capability(int number) const {
  const int value = fd_.call(KVM_CHECK_EXTENSION, static_cast<u64>(number));
  return value < 0 ? 0 : value;
}

Result<std::unique_ptr<Vm>> System::create_vm() const {
  const int vm = fd_.call(KVM_CREATE_VM, u64{0});
  if (vm < 0) return refused("KVM_CREATE_VM", vm);
  return std::make_unique<Vm>(Descriptor(vm), run_area_bytes_);
}

}  // namespace rondo::kvm
