#include "core/kvm/vm.h"

#include <linux/kvm.h>
#include <sys/mman.h>

#include <cerrno>

#include "core/kvm/vcpu.h"

namespace rondo::kvm {

Status Vm::set_memory(u32 slot, GuestPhys address, std::span<u8> host, bool log_writes) {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.flags = log_writes ? KVM_MEM_LOG_DIRTY_PAGES : 0;
  region.guest_phys_addr = address.value;
  region.memory_size = host.size();
  region.userspace_addr = reinterpret_cast<u64>(host.data());
  const std::string what =
      host.empty() ? "to take a memory slot away" : "a memory slot of " + std::to_string(host.size() >> 20) + " MiB";
  return outcome(what + " (KVM_SET_USER_MEMORY_REGION)", fd_.call(KVM_SET_USER_MEMORY_REGION, &region));
}

Result<std::vector<u64>> Vm::take_dirty(u32 slot, u64 bytes) const {
  std::vector<u64> bits(((bytes >> kPageShift) + 63) / 64);
  kvm_dirty_log log{};
  log.slot = slot;
  log.dirty_bitmap = bits.data();
  if (const int result = fd_.call(KVM_GET_DIRTY_LOG, &log); result < 0) return refused("KVM_GET_DIRTY_LOG", result);
  return bits;
}

Status Vm::enable(u32 capability, std::string_view name, u64 argument) {
  kvm_enable_cap cap{};
  cap.cap = capability;
  cap.args[0] = argument;
  return outcome("to enable " + std::string(name), fd_.call(KVM_ENABLE_CAP, &cap));
}

Status Vm::filter_msrs(std::span<const MsrRange> ranges) {
  if (Status enabled = enable(KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR",
                              KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL);
      !enabled) {
    return enabled;
  }
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
  if (ranges.size() > KVM_MSR_FILTER_MAX_RANGES) return refused("KVM_X86_SET_MSR_FILTER", -E2BIG);
  std::vector<std::vector<u8>> bitmaps;
  for (unsigned i = 0; i < ranges.size(); ++i) {
    bitmaps.emplace_back((ranges[i].count + 7) / 8, u8{0});  // a clear bit denies: the access exits
    filter.ranges[i] = {.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                        .nmsrs = ranges[i].count,
                        .base = ranges[i].first,
                        .bitmap = bitmaps.back().data()};
  }
  return outcome("KVM_X86_SET_MSR_FILTER", fd_.call(KVM_X86_SET_MSR_FILTER, &filter));
}

int Vm::capability(int number) const {
  const int value = fd_.call(KVM_CHECK_EXTENSION, static_cast<u64>(number));
  return value < 0 ? 0 : value;
}

Result<std::unique_ptr<VcpuHandle>> Vm::create_vcpu() const {
  const int raw = fd_.call(KVM_CREATE_VCPU, u64{0});
  if (raw < 0) return refused("KVM_CREATE_VCPU", raw);
  Descriptor fd(raw);
  void* area = mmap(nullptr, run_area_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (area == MAP_FAILED) return refused("to map a vCPU's run area", -errno);
  return std::make_unique<VcpuHandle>(std::move(fd), static_cast<kvm_run*>(area), run_area_bytes_);
}

}  // namespace rondo::kvm
