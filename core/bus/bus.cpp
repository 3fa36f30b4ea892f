#include "core/bus/bus.h"

#include <algorithm>

namespace rondo {

Status Bus::map(u64 base, u64 length, BusTarget& target, std::string name) {
  if (length == 0 || base + length - 1 < base) return Error{"bus region '" + name + "' is empty or wraps around"};
  const auto next = std::upper_bound(regions_.begin(), regions_.end(), base, [](u64 b, const Region& r) { return b < r.base; });
  const bool hits_next = next != regions_.end() && next->base - base < length;
  const bool hits_previous = next != regions_.begin() && base - std::prev(next)->base < std::prev(next)->length;
  if (hits_next || hits_previous) return Error{"bus region '" + name + "' overlaps another"};
  regions_.insert(next, {base, length, &target, std::move(name)});
  return success();
}

Bus::Region* Bus::find(u64 address, unsigned size) {
  const auto next = std::upper_bound(regions_.begin(), regions_.end(), address, [](u64 a, const Region& r) { return a < r.base; });
  if (next == regions_.begin()) return nullptr;
  Region& region = *std::prev(next);
  const u64 offset = address - region.base;
  if (offset >= region.length || region.length - offset < size) return nullptr;
  return &region;
}

u64 Bus::read(u64 address, unsigned size) {
  const u64 all_ones = size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
  if (Region* region = find(address, size)) return region->target->bus_read(address - region->base, size) & all_ones;
  ++unclaimed_;
  return all_ones;
}

void Bus::write(u64 address, unsigned size, u64 value) {
  if (Region* region = find(address, size)) {
    region->target->bus_write(address - region->base, size, value);
  } else {
    ++unclaimed_;
  }
}

bool Bus::covers(u64 address, u64 length) const {
  return std::any_of(regions_.begin(), regions_.end(), [&](const Region& r) {
    return address < r.base ? r.base - address < length : address - r.base < r.length;
  });
}

}  // namespace rondo
