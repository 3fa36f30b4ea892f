// Guest RAM: host pages that appear when they are touched, with the PCI hole below 4 GB left out.
#pragma once

#include <memory>
#include <span>

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/state/stream.h"

namespace rondo {

inline constexpr u64 kPciHoleStart = u64{3} << 30;  // RAM above this is moved to 4 GB and up
inline constexpr u64 kPciHoleEnd = u64{4} << 30;
inline constexpr u64 kMinimumRam = u64{2} << 20;
inline constexpr u64 kMaximumRam = u64{1} << 40;

// Marks on a physical page. An engine sets those that make stores to the page take its slow path.
enum PageMark : u8 {
  kPageTouched = 1,    // may differ from zero: set before the first write; never cleared while running
  kPageHasCode = 2,    // decoded code was derived from this page
  kPageIsTable = 4,    // a cached translation was derived from page-table entries in this page
  kPageWatched = kPageHasCode | kPageIsTable
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

  // Canonical: only pages that hold something, in address order. save() includes their contents.
  void save(StateWriter& writer) const;
  void load(StateReader& reader);
  // XXH3-128 over (page index, page hash) of all pages that are not entirely zero, as 32 hexadecimal digits.
  std::string hash() const;

 private:
  PhysicalMemory(u64 bytes, u8* ram, u8* marks);
  u64 bytes_;
  u64 low_bytes_;
  u64 high_bytes_;
  u8* ram_;
  u8* marks_;
};

}  // namespace rondo
