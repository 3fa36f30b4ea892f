#include "core/kvm/system.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace rondo::kvm {
namespace {

constexpr int kApiVersion = 12;  // the only one there ever was

struct Needed {
  int number;
  const char* name;
  const char* since;  // the first Linux that has it
};
constexpr Needed kNeeded[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "2.6.25"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "2.6.26"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "2.6.33"},
    {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "2.6.35"},
    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "2.6.36"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.13"},
    {KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS", "4.17"},
    {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR", "5.10"},
    {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER", "5.10"},
    {KVM_CAP_EXIT_ON_EMULATION_FAILURE, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", "5.15"},
};

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

Error useless(const char* path, const std::string& why) {
  return Error{std::string(path) + " " + why + ": use --engine software"};
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
  opened.availability = Availability::unusable;
  const int version = fd.call(KVM_GET_API_VERSION);
  const int bytes = fd.call(KVM_GET_VCPU_MMAP_SIZE);
  if (version < 0 || bytes < 0) {
    opened.error = useless(
        path, "does not answer as KVM does (" + std::generic_category().message(version < 0 ? -version : -bytes) + ")");
    return opened;
  }
  if (version != kApiVersion || bytes < static_cast<int>(sizeof(kvm_run))) {
    opened.error = useless(path, "is another KVM than the one this program is for (API version " +
                                     std::to_string(version) + ", run area of " + std::to_string(bytes) + " bytes)");
    return opened;
  }
  std::unique_ptr<System> system(new System(std::move(fd), static_cast<u64>(bytes)));
  for (const Needed& needed : kNeeded) {
    if (system->capability(needed.number)) continue;
    opened.error = useless(path, std::string("lacks ") + needed.name + ", which Linux has since " + needed.since);
    return opened;
  }
  opened.availability = Availability::usable;
  opened.system = std::move(system);
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
