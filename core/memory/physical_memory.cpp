#include "core/memory/physical_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "core/base/assert.h"

namespace rondo {

Result<std::unique_ptr<PhysicalMemory>> PhysicalMemory::create(u64 bytes) {
  if (bytes < kMinimumRam || bytes > kMaximumRam || bytes % kPageSize != 0) {
    return Error{"memory size of " + std::to_string(bytes) + " bytes: use a multiple of 4 KiB between 2M and 1T"};
  }
  // The side tables cover whole groups.
  const u64 pages = ((bytes >> kPageShift) + kGroupPages - 1) & ~(kGroupPages - 1);
  HostMapping ram = HostMapping::reserve(bytes);
  HostMapping marks = HostMapping::reserve(pages);
  HostMapping hashes = HostMapping::reserve(pages * sizeof(Hash128));
  if (!ram || !marks || !hashes) {
    return Error{"cannot reserve " + std::to_string(bytes >> 20) +
                 " MiB of address space for guest memory: use a smaller --memory"};
  }
  // Small pages: peak memory stays what the guest touched (huge pages would round every touch up to 2 MB).
  madvise(ram.data(), bytes, MADV_NOHUGEPAGE);
  return std::unique_ptr<PhysicalMemory>(
      new PhysicalMemory(bytes, std::move(ram), std::move(marks), std::move(hashes)));
}

PhysicalMemory::PhysicalMemory(u64 bytes, HostMapping ram, HostMapping marks, HostMapping hashes)
    : bytes_(bytes),
      low_bytes_(std::min(bytes, kPciHoleStart)),
      high_bytes_(bytes - low_bytes_),
      ram_mapping_(std::move(ram)),
      marks_mapping_(std::move(marks)),
      hash_mapping_(std::move(hashes)),
      ram_(ram_mapping_.data()),
      marks_(marks_mapping_.data()),
      group_marks_(marks_mapping_.size() >> kGroupShift),
      group_hashes_(group_marks_.size()) {}

PhysicalMemory::~PhysicalMemory() { RONDO_ASSERT(writers_.empty()); }

bool PhysicalMemory::is_ram(GuestPhys address, u64 length) const {
  const u64 a = address.value;
  if (a < low_bytes_) return length <= low_bytes_ - a;
  return a >= kPciHoleEnd && a - kPciHoleEnd < high_bytes_ && length <= high_bytes_ - (a - kPciHoleEnd);
}

bool PhysicalMemory::write(GuestPhys address, std::span<const u8> bytes) {
  if (bytes.empty()) return true;
  if (!is_ram(address, bytes.size())) return false;
  u8* to = host(address);
  for (u64 page = page_index(to); page <= page_index(to + bytes.size() - 1); ++page) mark_page(page, kPageWritten);
  std::memcpy(to, bytes.data(), bytes.size());
  return true;
}

bool PhysicalMemory::read(GuestPhys address, std::span<u8> out) const {
  if (out.empty()) return true;
  if (!is_ram(address, out.size())) return false;
  std::memcpy(out.data(), host(address), out.size());
  return true;
}

void PhysicalMemory::attach_writer(MemoryWriter& writer) { writers_.push_back(&writer); }
void PhysicalMemory::detach_writer(MemoryWriter& writer) { std::erase(writers_, &writer); }

void PhysicalMemory::watch_writes() {
  for (MemoryWriter* writer : writers_) writer->watch_writes();
}

void PhysicalMemory::mark_page(u64 index, u8 marks) {
  marks_[index] |= marks;
  group_marks_[index >> kGroupShift] |= marks;
}

template <class Visit>
void PhysicalMemory::for_each_marked(u8 mark, Visit visit) const {
  for (u64 group = 0; group < group_marks_.size(); ++group) {
    if (!(group_marks_[group] & mark)) continue;
    const u64 end = std::min((group + 1) << kGroupShift, page_count());
    for (u64 i = group << kGroupShift; i < end; ++i) {
      if (marks_[i] & mark) visit(i);
    }
  }
}

void PhysicalMemory::forget_groups(u8 mark) {
  for (u8& marks : group_marks_) marks &= static_cast<u8>(~mark);
}

u64 PhysicalMemory::touched_pages() const {
  u64 pages = 0;
  for_each_marked(kPageTouched, [&](u64) { ++pages; });
  return pages;
}

void PhysicalMemory::save(StateWriter& writer) const {
  writer.section("memory", 1);
  writer.write_u64(bytes_);
  std::vector<u64> pages;
  for_each_marked(kPageTouched, [&](u64 i) {
    if (!is_zero_page(ram_ + (i << kPageShift))) pages.push_back(i);
  });
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
  watch_writes();
  for_each_marked(kPageTouched, [&](u64 i) {
    std::memset(page_host(i), 0, kPageSize);
    marks_[i] &= static_cast<u8>(~kPageTouched);
    mark_page(i, kPageUnhashed | kPageUnsaved);
  });
  forget_groups(kPageTouched);
  for (u64 n = 0; n < count; ++n) {
    const u64 i = reader.read_u64();
    if (reader.ok() && i >= page_count()) reader.fail("saved state: a page lies outside memory");
    if (!reader.ok()) return;
    mark_page(i, kPageWritten);
    reader.read_bytes_into({page_host(i), kPageSize});
  }
}

std::string PhysicalMemory::hash() {
  watch_writes();
  for (u64 group = 0; group < group_marks_.size(); ++group) {
    if (!(group_marks_[group] & kPageUnhashed)) continue;
    group_marks_[group] &= static_cast<u8>(~kPageUnhashed);
    const u64 first = group << kGroupShift;
    for (u64 i = first; i < std::min(first + kGroupPages, page_count()); ++i) {
      if (!(marks_[i] & kPageUnhashed)) continue;
      marks_[i] &= static_cast<u8>(~kPageUnhashed);
      page_hashes()[i] = page_hash(page_host(i));
    }
    group_hashes_[group] = group_hash(std::span<const Hash128, kGroupPages>(page_hashes() + first, kGroupPages));
  }
  MemoryHasher hasher;
  for (u64 group = 0; group < group_hashes_.size(); ++group) hasher.add_group(group, group_hashes_[group]);
  return hasher.digest().hex();
}

PageMap PhysicalMemory::capture() {
  watch_writes();
  std::vector<u64> unsaved;
  for_each_marked(kPageUnsaved, [&](u64 i) { unsaved.push_back(i); });
  // First all copies, then the map: in turns they would wait for each other.
  std::vector<PageRef> pages(unsaved.size());
  {
    PagePool::Batch copies(*pool_, unsaved.size());
    for (u64 n = 0; n < unsaved.size(); ++n) {
      const u64 i = unsaved[n];
      marks_[i] &= static_cast<u8>(~kPageUnsaved);
      const std::span<const u8, kPageSize> bytes(page_host(i), kPageSize);
      if (is_zero_page(bytes.data())) continue;
      pages[n] = marks_[i] & kPageUnhashed ? copies.make(bytes) : copies.make(bytes, page_hashes()[i]);
    }
  }
  for (u64 n = 0; n < unsaved.size(); ++n) saved_.set(unsaved[n], std::move(pages[n]));
  forget_groups(kPageUnsaved);
  return saved_;
}

Result<std::vector<u64>> PhysicalMemory::restore(const PageMap& pages) {
  if (pages.end() > page_count()) {
    return Error{"saved state: a page lies outside this machine's " + std::to_string(bytes_ >> 20) + " MiB of memory"};
  }
  watch_writes();
  std::vector<u64> changed;
  // Where nothing was written since, memory holds what saved_ says.
  pages.for_each_difference(saved_, [&](u64 i, const Page*, const Page* page) {
    if (!(marks_[i] & kPageUnsaved)) put_page(i, page, changed);
  });
  for_each_marked(kPageUnsaved, [&](u64 i) { put_page(i, pages.get(i), changed); });
  forget_groups(kPageUnsaved);
  saved_ = pages;
  std::sort(changed.begin(), changed.end());
  return changed;
}

void PhysicalMemory::put_page(u64 index, const Page* page, std::vector<u64>& changed) {
  u8* host = page_host(index);
  if (page ? std::memcmp(host, page->bytes().data(), kPageSize) != 0 : !is_zero_page(host)) {
    if (page)
      std::memcpy(host, page->bytes().data(), kPageSize);
    else
      std::memset(host, 0, kPageSize);
    changed.push_back(index);
  }
  // The page's hash is computed once for all who restore it.
  marks_[index] &= kPageWatched;
  if (page) mark_page(index, kPageTouched);
  const Hash128 hash = page ? page->hash() : Hash128{};
  if (page_hashes()[index] == hash) return;
  page_hashes()[index] = hash;
  group_marks_[index >> kGroupShift] |= kPageUnhashed;
}

}  // namespace rondo
