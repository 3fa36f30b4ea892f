#include "core/memory/physical_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "core/state/hash.h"

namespace rondo {
namespace {

u8* reserve(u64 bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<u8*>(p);
}

bool is_zero_page(const u8* page) {
  return page[0] == 0 && std::memcmp(page, page + 1, kPageSize - 1) == 0;
}

}  // namespace

Result<std::unique_ptr<PhysicalMemory>> PhysicalMemory::create(u64 bytes) {
  if (bytes < kMinimumRam || bytes > kMaximumRam || bytes % kPageSize != 0) {
    return Error{"memory size of " + std::to_string(bytes) + " bytes: use a multiple of 4 KiB between 2M and 1T"};
  }
  u8* ram = reserve(bytes);
  u8* marks = reserve(bytes >> kPageShift);
  if (!ram || !marks) {
    if (ram) munmap(ram, bytes);
    if (marks) munmap(marks, bytes >> kPageShift);
    return Error{"cannot reserve " + std::to_string(bytes >> 20) + " MiB of address space for guest memory: use a smaller --memory"};
  }
  // Small pages: peak memory stays what the guest touched (huge pages would round every touch up to 2 MB).
  madvise(ram, bytes, MADV_NOHUGEPAGE);
  return std::unique_ptr<PhysicalMemory>(new PhysicalMemory(bytes, ram, marks));
}

PhysicalMemory::PhysicalMemory(u64 bytes, u8* ram, u8* marks)
    : bytes_(bytes), low_bytes_(std::min(bytes, kPciHoleStart)), high_bytes_(bytes - low_bytes_), ram_(ram), marks_(marks) {}

PhysicalMemory::~PhysicalMemory() {
  munmap(ram_, bytes_);
  munmap(marks_, bytes_ >> kPageShift);
}

bool PhysicalMemory::is_ram(GuestPhys address, u64 length) const {
  const u64 a = address.value;
  if (a < low_bytes_) return length <= low_bytes_ - a;
  return a >= kPciHoleEnd && a - kPciHoleEnd < high_bytes_ && length <= high_bytes_ - (a - kPciHoleEnd);
}

bool PhysicalMemory::write(GuestPhys address, std::span<const u8> bytes) {
  if (bytes.empty()) return true;
  if (!is_ram(address, bytes.size())) return false;
  u8* to = host(address);
  for (u64 page = page_index(to); page <= page_index(to + bytes.size() - 1); ++page) marks_[page] |= kPageTouched;
  std::memcpy(to, bytes.data(), bytes.size());
  return true;
}

bool PhysicalMemory::read(GuestPhys address, std::span<u8> out) const {
  if (out.empty()) return true;
  if (!is_ram(address, out.size())) return false;
  std::memcpy(out.data(), host(address), out.size());
  return true;
}

void PhysicalMemory::save(StateWriter& writer) const {
  writer.section("memory", 1);
  writer.write_u64(bytes_);
  std::vector<u64> pages;
  for (u64 i = 0; i < page_count(); ++i) {
    if ((marks_[i] & kPageTouched) && !is_zero_page(ram_ + (i << kPageShift))) pages.push_back(i);
  }
  writer.write_u64(pages.size());
  for (const u64 i : pages) {
    writer.write_u64(i);
    writer.write_bytes({ram_ + (i << kPageShift), kPageSize});
  }
}

void PhysicalMemory::load(StateReader& reader) {
  reader.section("memory", 1);
  if (reader.read_u64() != bytes_) reader.fail("saved state: the memory size differs from this machine's");
  const u64 count = reader.read_u64();
  if (!reader.ok()) return;
  for (u64 i = 0; i < page_count(); ++i) {
    if (marks_[i] & kPageTouched) std::memset(ram_ + (i << kPageShift), 0, kPageSize);
  }
  std::memset(marks_, 0, page_count());
  for (u64 n = 0; n < count; ++n) {
    const u64 i = reader.read_u64();
    if (reader.ok() && i >= page_count()) reader.fail("saved state: a page lies outside memory");
    if (!reader.ok()) return;
    marks_[i] |= kPageTouched;
    reader.read_bytes_into({ram_ + (i << kPageShift), kPageSize});
  }
}

std::string PhysicalMemory::hash() const {
  Hasher hasher;
  for (u64 i = 0; i < page_count(); ++i) {
    if (!(marks_[i] & kPageTouched)) continue;
    const u8* page = ram_ + (i << kPageShift);
    if (is_zero_page(page)) continue;
    hasher.add(i);
    hasher.add({page, kPageSize});
  }
  return hasher.hex();
}

}  // namespace rondo
