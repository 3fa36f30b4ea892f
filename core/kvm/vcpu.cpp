#include "core/kvm/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstring>

namespace rondo::kvm {
namespace {

// The ioctls with a list behind their header. The kernel's headers give these structures another size in C++ than in C
// (an empty member in front of the flexible array), and with it wrong ioctl numbers: so both are spelled out here.
struct ListHeader {
  u32 count;
  u32 padding;
};
constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, sizeof(ListHeader));
constexpr unsigned long kGetMsrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, sizeof(ListHeader));
constexpr unsigned long kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, sizeof(ListHeader));

template <class Entry>
std::vector<u8> with_list(const std::vector<Entry>& entries) {
  const ListHeader header{static_cast<u32>(entries.size()), 0};
  std::vector<u8> bytes(sizeof header + entries.size() * sizeof(Entry));
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!entries.empty()) std::memcpy(bytes.data() + sizeof header, entries.data(), entries.size() * sizeof(Entry));
  return bytes;
}

}  // namespace

VcpuHandle::~VcpuHandle() { munmap(run_, run_bytes_); }

int VcpuHandle::run() {
  if (!traps_time_stamps_) return ioctl(fd_.get(), KVM_RUN, 0) < 0 ? -errno : 0;
  // Not for longer than this: the C library reads the clock with RDTSC.
  prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
  const int result = ioctl(fd_.get(), KVM_RUN, 0) < 0 ? -errno : 0;
  prctl(PR_SET_TSC, PR_TSC_ENABLE);
  return result;
}

int VcpuHandle::complete() {
  const u8 before = run_->immediate_exit;
  run_->immediate_exit = 1;
  const int result = run();
  run_->immediate_exit = before;
  return result;
}

Result<std::vector<VcpuHandle::Msr>> VcpuHandle::msrs(std::span<const u32> indices) const {
  std::vector<Msr> found;
  // KVM stops at the first one it does not know: go on behind it.
  for (std::size_t at = 0; at < indices.size();) {
    std::vector<kvm_msr_entry> entries;
    for (const u32 index : indices.subspan(at)) entries.push_back({.index = index, .reserved = 0, .data = 0});
    std::vector<u8> bytes = with_list(entries);
    const int got = fd_.call(kGetMsrs, bytes.data());
    if (got < 0) return refused("KVM_GET_MSRS", got);
    const auto count = static_cast<std::size_t>(got);
    for (std::size_t i = 0; i < count; ++i) {
      kvm_msr_entry entry;
      std::memcpy(&entry, bytes.data() + sizeof(ListHeader) + i * sizeof entry, sizeof entry);
      found.push_back({entry.index, entry.data});
    }
    at += count + 1;
  }
  return found;
}

Status VcpuHandle::set_msrs(std::span<const Msr> msrs) {
  std::vector<kvm_msr_entry> entries;
  for (const Msr& m : msrs) entries.push_back({.index = m.index, .reserved = 0, .data = m.value});
  std::vector<u8> bytes = with_list(entries);
  const int set = fd_.call(kSetMsrs, bytes.data());
  if (set < 0) return refused("KVM_SET_MSRS", set);
  // KVM stops at the first one that it does not take.
  if (const auto count = static_cast<std::size_t>(set); count < msrs.size())
    return refused("to set MSR " + std::to_string(msrs[count].index), -EINVAL);
  return success();
}

Result<std::optional<GuestPhys>> VcpuHandle::translate(u64 linear) const {
  kvm_translation t{};
  t.linear_address = linear;
  if (const int result = fd_.call(KVM_TRANSLATE, &t); result < 0) return refused("KVM_TRANSLATE", result);
  return t.valid ? std::optional(GuestPhys{t.physical_address}) : std::nullopt;
}

Status VcpuHandle::set_cpuid(const std::vector<kvm_cpuid_entry2>& entries) {
  std::vector<u8> bytes = with_list(entries);
  return outcome("KVM_SET_CPUID2", fd_.call(kSetCpuid2, bytes.data()));
}

}  // namespace rondo::kvm
