#include "core/software/debug_index.h"

#include <algorithm>

#include "core/cpu/register_digest.h"
#include "core/cpu/state.h"

namespace rondo::software {

std::vector<u16> DebugIndex::set(DebugPoints points) {
  std::sort(points.breakpoints.begin(), points.breakpoints.end());
  points_ = std::move(points);
  pages_.clear();
  for (const Watchpoint& w : points_.watchpoints) {
    // A range that wraps ends at the top of the address space.
    const u64 length = std::max<u64>(w.length, 1);
    const u64 last = std::max(w.address.value, w.address.value + (length - 1)) == w.address.value && length > 1
                         ? ~u64{0}
                         : w.address.value + (length - 1);
    pages_.push_back({w.address.value >> kPageShift, last >> kPageShift, static_cast<u8>(w.kind)});
  }
  stop_.watchpoints.clear();
  std::vector<u16> fresh;
  for (const GuestLinear address : points_.breakpoints) {
    const u64 offset = address.value & kPageMask;
    if (offsets_[offset]) continue;
    offsets_[offset] = true;
    fresh.push_back(static_cast<u16>(offset));
  }
  return fresh;
}

// Unlike a breakpoint's, its offset is forgotten: every asynchronous Moment has another one.
std::vector<u16> DebugIndex::set_search(const std::optional<SearchPoint>& point) {
  std::vector<u16> fresh;
  if (point && !ends_block(point->rip & kPageMask)) fresh.push_back(static_cast<u16>(point->rip & kPageMask));
  search_ = point;
  return fresh;
}

bool DebugIndex::found(u64 rip, const u64* gpr) const {
  return search_ && search_->rip == rip && search_->rcx == gpr[RCX] && search_->digest == register_digest(rip, gpr);
}

bool DebugIndex::breaks_at(u64 linear) const {
  return std::binary_search(points_.breakpoints.begin(), points_.breakpoints.end(), GuestLinear{linear});
}

u8 DebugIndex::find_page(u64 page) const {
  u8 kinds = 0;
  for (const PageRange& range : pages_) {
    if (page >= range.first && page <= range.last) kinds |= range.kinds;
  }
  return kinds;
}

bool DebugIndex::access(u64 linear, u64 size, bool write) {
  const u8 kind = static_cast<u8>(write ? WatchKind::write : WatchKind::read);
  bool any = false;
  for (u32 i = 0; i < points_.watchpoints.size(); ++i) {
    const Watchpoint& w = points_.watchpoints[i];
    if (!(static_cast<u8>(w.kind) & kind)) continue;
    // Both ranges may wrap: one begins in the other.
    const bool meets = linear - w.address.value < std::max<u64>(w.length, 1) || w.address.value - linear < size;
    if (!meets) continue;
    any = true;
    if (std::find(stop_.watchpoints.begin(), stop_.watchpoints.end(), i) == stop_.watchpoints.end())
      stop_.watchpoints.push_back(i);
  }
  return any;
}

}  // namespace rondo::software
