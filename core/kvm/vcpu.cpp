#include "core/kvm/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

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

int VcpuHandle::run() { return ioctl(fd_.get(), KVM_RUN, 0) < 0 ? -errno : 0; }

int VcpuHandle::complete() {
  const u8 before = run_->immediate_exit;
  run_->immediate_exit = 1;
  const int result = run();
  run_->immediate_exit = before;
  return result;
}

std::vector<VcpuHandle::Msr> VcpuHandle::msrs(std::span<const u32> indices) const {
  std::vector<Msr> found;
  // KVM stops at the first one it does not know: go on behind it.
  for (std::size_t at = 0; at < indices.size();) {
    std::vector<kvm_msr_entry> entries;
    for (const u32 index : indices.subspan(at)) entries.push_back({.index = index, .reserved = 0, .data = 0});
    std::vector<u8> bytes = with_list(entries);
    const int got = fd_.call(kGetMsrs, bytes.data());
    const std::size_t count = got < 0 ? 0 : static_cast<std::size_t>(got);
    for (std::size_t i = 0; i < count; ++i) {
      kvm_msr_entry entry;
      std::memcpy(&entry, bytes.data() + sizeof(ListHeader) + i * sizeof entry, sizeof entry);
      found.push_back({entry.index, entry.data});
    }
    at += count + 1;
  }
  return found;
}

std::vector<u32> VcpuHandle::set_msrs(std::span<const Msr> msrs) {
  std::vector<u32> refused_ones;
  for (std::size_t at = 0; at < msrs.size();) {
    std::vector<kvm_msr_entry> entries;
    for (const Msr& m : msrs.subspan(at)) entries.push_back({.index = m.index, .reserved = 0, .data = m.value});
    std::vector<u8> bytes = with_list(entries);
    const int got = fd_.call(kSetMsrs, bytes.data());
    at += got < 0 ? 0 : static_cast<std::size_t>(got);
    if (at < msrs.size()) refused_ones.push_back(msrs[at++].index);
  }
  return refused_ones;
}

std::optional<GuestPhys> VcpuHandle::translate(u64 linear) const {
  kvm_translation t{};
  t.linear_address = linear;
  if (fd_.call(KVM_TRANSLATE, &t) < 0 || !t.valid) return std::nullopt;
  return GuestPhys{t.physical_address};
}

Status VcpuHandle::set_cpuid(const std::vector<kvm_cpuid_entry2>& entries) {
  std::vector<u8> bytes = with_list(entries);
  return outcome("KVM_SET_CPUID2", fd_.call(kSetCpuid2, bytes.data()));
}

}  // namespace rondo::kvm
