// The debugger's points as the interpreter asks for them (core/debug_points.h).
//
// Breakpoints: a block never goes past an instruction whose offset in its page is a breakpoint's, and one that begins there
// begins with a guard Op. Blocks are shared by all linear addresses of their page, so the guard compares. Watchpoints: a
// page that is watched has no plain TLB entry, so its accesses take the slow path, which asks here.
#pragma once

#include <bitset>
#include <optional>
#include <span>
#include <vector>

#include "core/debug_points.h"
#include "core/engine.h"

namespace rondo::software {

class DebugIndex {
 public:
  // Returns the page offsets at which blocks must end from now on and did not before: those that span one are void.
  std::vector<u16> set(DebugPoints points);
  const DebugPoints& points() const { return points_; }

  bool has_breakpoints() const { return !points_.breakpoints.empty(); }
  // Whether a block must end before this offset in a page. Stays so when the breakpoint is gone: gdb takes them out and puts
  // them back whenever it stops.
  bool ends_block(u64 page_offset) const {
    return offsets_[page_offset] || (search_ && (search_->rip & kPageMask) == page_offset);
  }
  bool breaks_at(u64 linear) const;

  // Engine::set_search(). Returns the page offset at which blocks must end from now on and did not before.
  std::vector<u16> set_search(const std::optional<SearchPoint>& point);
  const std::optional<SearchPoint>& search() const { return search_; }
  bool found(u64 rip, const u64* gpr) const;
  // How many elements of a REP at `rip` may be done, with RCX elements to go, before it comes to the point.
  u64 elements_to_search(u64 rip, u64 rcx) const {
    return search_ && search_->rip == rip && rcx > search_->rcx ? rcx - search_->rcx : ~u64{0};
  }

  bool has_watchpoints() const { return !pages_.empty(); }
  // The accesses to the page of `linear` that may matter (bits of WatchKind), 0: none.
  u8 watched_page(u64 linear) const { return pages_.empty() ? 0 : find_page(linear >> kPageShift); }
  // An access takes place. True: a watchpoint hit it, and stop() has it.
  bool access(u64 linear, u64 size, bool write);
  // Accesses hit watchpoints since the last clear_hits().
  bool hit() const { return !stop_.watchpoints.empty(); }
  void clear_hits() { stop_.watchpoints.clear(); }

  DebugStop& stop() { return stop_; }
  const DebugStop& stop() const { return stop_; }

 private:
  struct PageRange {
    u64 first, last;  // page numbers
    u8 kinds;
  };
  u8 find_page(u64 page) const;

  DebugPoints points_;  // breakpoints sorted
  std::optional<SearchPoint> search_;
  std::bitset<kPageSize> offsets_;
  std::vector<PageRange> pages_;  // one per watchpoint
  DebugStop stop_;
};

}  // namespace rondo::software
