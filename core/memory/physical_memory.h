// Guest RAM: host pages that appear when they are touched, with the PCI hole below 4 GB left out.
//
// Every page that is written is marked, so that a hash, a capture and a restore cost what was written since the last
// one and not what there is.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/memory/host_mapping.h"
#include "core/memory/memory_hash.h"
#include "core/memory/page_map.h"
#include "core/state/stream.h"

namespace rondo {

inline constexpr u64 kPciHoleStart = u64{3} << 30;  // RAM above this is moved to 4 GB and up
inline constexpr u64 kPciHoleEnd = u64{4} << 30;
inline constexpr u64 kMinimumRam = u64{2} << 20;
inline constexpr u64 kMaximumRam = u64{1} << 40;

// Marks on a physical page. An engine sets the watches, which make stores to the page take its slow path.
enum PageMark : u8 {
  kPageTouched = 1,   // may differ from zero
  kPageHasCode = 2,   // decoded code was derived from this page
  kPageIsTable = 4,   // a cached translation was derived from page-table entries in this page
  kPageUnhashed = 8,  // may differ from what was hashed last
  kPageUnsaved = 16,  // may differ from what was captured or restored last
  kPageWatched = kPageHasCode | kPageIsTable,
  kPageWritten = kPageTouched | kPageUnhashed | kPageUnsaved  // what every write sets, before or with it
};

// What writes to guest memory by itself: an engine. It makes sure that a page that it writes has the marks of
// kPageWritten.
class MemoryWriter {
 public:
  virtual ~MemoryWriter() = default;
  // Brings the marks of the pages that it has written up to date, and sees to it that its next store to any page sets
  // them again: they are about to be read and cleared. Not called while it executes.
  virtual void watch_writes() = 0;
};

class PhysicalMemory {
 public:
  // bytes: a multiple of 4096 between kMinimumRam and kMaximumRam. Fails if the host has no address space for it.
  static Result<std::unique_ptr<PhysicalMemory>> create(u64 bytes);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  u64 size() const { return bytes_; }
  // One past the highest RAM address.
  GuestPhys end() const { return GuestPhys{bytes_ <= kPciHoleStart ? bytes_ : kPciHoleEnd + (bytes_ - kPciHoleStart)}; }
  bool is_ram(GuestPhys address, u64 length = 1) const;

  // The host address of a byte of RAM, null if it is not RAM. Valid to the end of its page.
  u8* host(GuestPhys address) {
    const u64 a = address.value;
    if (a < low_bytes_) return ram_ + a;
    if (a >= kPciHoleEnd && a - kPciHoleEnd < high_bytes_) return ram_ + low_bytes_ + (a - kPciHoleEnd);
    return nullptr;
  }
  const u8* host(GuestPhys address) const { return const_cast<PhysicalMemory*>(this)->host(address); }

  // The marks of the page that holds `host_address`, which must lie in this RAM.
  u8& marks(const u8* host_address) { return marks_[static_cast<u64>(host_address - ram_) >> kPageShift]; }
  // A dense number for each page of RAM, for side tables; and its inverse.
  u64 page_index(const u8* host_address) const { return static_cast<u64>(host_address - ram_) >> kPageShift; }
  // The guest-physical address of a byte of this RAM.
  GuestPhys address_of(const u8* host_address) const {
    const u64 offset = static_cast<u64>(host_address - ram_);
    return GuestPhys{offset < low_bytes_ ? offset : offset - low_bytes_ + kPciHoleEnd};
  }
  u64 page_count() const { return bytes_ >> kPageShift; }
  u8* page_host(u64 index) { return ram_ + (index << kPageShift); }

  // For boot loaders and tools, before or between runs. False if any byte is not RAM.
  bool write(GuestPhys address, std::span<const u8> bytes);
  bool read(GuestPhys address, std::span<u8> out) const;

  // To be called by whoever writes to the page through its host address, before the next hash, capture or restore.
  void mark_written(const u8* host_address) {
    const u64 index = page_index(host_address);
    if ((marks_[index] & kPageWritten) != kPageWritten) mark_page(index, kPageWritten);
  }
  // An engine announces itself as long as it lives.
  void attach_writer(MemoryWriter& writer);
  void detach_writer(MemoryWriter& writer);

  // Canonical: only pages that hold something, in address order. save() includes their contents.
  void save(StateWriter& writer) const;
  void load(StateReader& reader);
  // memory_hash.h, as 32 hexadecimal digits. Costs what was written since the last hash.
  std::string hash();
  // The contents. Costs the pages written since the last capture or restore; the map shares the others with the last
  // one.
  PageMap capture();
  // Goes to these contents. Costs the pages written since the last capture or restore, and what the maps differ in.
  // Returns the indexes of the pages that have changed: what was derived from them is void. An error (a page outside
  // this memory) changes nothing.
  Result<std::vector<u64>> restore(const PageMap& pages);
  // Where captured pages live; reserve() there, from any thread, makes the next capture quicker.
  const std::shared_ptr<PagePool>& page_pool() { return pool_; }
  // How many pages were ever written, or are not zero since the last restore.
  u64 touched_pages() const;

 private:
  PhysicalMemory(u64 bytes, HostMapping ram, HostMapping marks, HostMapping hashes);
  void mark_page(u64 index, u8 marks);
  void watch_writes();
  // Calls visit(index) for each page with the mark, in order; it may clear marks.
  template <class Visit>
  void for_each_marked(u8 mark, Visit visit) const;
  void forget_groups(u8 mark);
  void put_page(u64 index, const Page* page, std::vector<u64>& changed);
  Hash128* page_hashes() { return reinterpret_cast<Hash128*>(hash_mapping_.data()); }

  u64 bytes_;
  u64 low_bytes_;
  u64 high_bytes_;
  HostMapping ram_mapping_, marks_mapping_, hash_mapping_;
  u8* ram_;
  u8* marks_;
  std::vector<u8> group_marks_;        // what any page of the group of 512 may be marked with
  std::vector<Hash128> group_hashes_;  // of groups without kPageUnhashed; page hashes likewise
  PageMap saved_;                      // the contents of all pages without kPageUnsaved
  std::shared_ptr<PagePool> pool_ = PagePool::create();
  std::vector<MemoryWriter*> writers_;
};

}  // namespace rondo
