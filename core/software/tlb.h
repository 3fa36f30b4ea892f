// The software TLB: linear pages to host pages. Invisible by construction (DESIGN: promise 2): every page that holds page-table entries
// from which something here was derived takes the slow store path, which drops what was derived (see paging.h).
#pragma once

#include <array>
#include <vector>

#include "core/base/types.h"

namespace rondo::software {

// A tag is the linear page address with the context number in its low 12 bits. A context stands for one setting of everything that decides a
// translation beside memory: CR3, paging mode bits, CPL, SMAP's AC. kInvalidTag is no context's.
inline constexpr u64 kInvalidTag = ~u64{0};
inline constexpr u64 kContextLimit = 0xffe;
// The context that matches nothing: every access takes the slow path (alignment checks, data breakpoints).
inline constexpr u64 kSlowContext = 0xffe;

struct TlbEntry {
  u64 read_tag = kInvalidTag;
  u64 write_tag = kInvalidTag;       // only if stores need nothing but the store: dirty bit set, page marked kPageWritten and not watched
  u64 watched_tag = kInvalidTag;     // as write_tag, but the page is watched: the slow store path
  u64 host_delta = 0;                // host address = linear address + host_delta
};

inline constexpr unsigned kTlbBits = 11;
inline constexpr u64 kTlbSize = u64{1} << kTlbBits;

class Tlb {
 public:
  TlbEntry& at(u64 linear) { return entries_[(linear >> kPageShift) & (kTlbSize - 1)]; }
  void clear() { entries_.fill(TlbEntry{}); }
  // Drops whatever context maps this linear page.
  void drop(u64 linear) { at(linear) = TlbEntry{}; }
  // Stores take the slow path once more: marks of kPageWritten are about to be cleared.
  void drop_writes();
  // A page has become watched: its stores must take the slow path from now on.
  void watch(const u8* host_page);

 private:
  std::array<TlbEntry, kTlbSize> entries_;
};

}  // namespace rondo::software
