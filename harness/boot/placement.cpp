#include "harness/boot/placement.h"

#include <algorithm>
#include <cstdio>

namespace rondo::boot {
namespace {

constexpr GuestPhys kBaseMemoryEnd{0x9fc00};  // what a PC with a 1 KB extended BIOS data area reports
constexpr GuestPhys kHighMemory{0x100000};

}  // namespace

std::string describe(GuestPhys start, u64 length) {
  char text[48];
  std::snprintf(text, sizeof text, "0x%llx-0x%llx", static_cast<unsigned long long>(start.value),
                static_cast<unsigned long long>(start.value + length - 1));
  return text;
}

const Placement::Taken* Placement::overlapping(GuestPhys start, u64 length) const {
  for (const Taken& t : taken_) {
    const GuestPhys other = t.region.start;
    if (start < other ? other - start < length : start - other < t.region.length) return &t;
  }
  return nullptr;
}

Status Placement::take(std::string name, GuestPhys start, u64 length, RegionType type) {
  if (length == 0) return success();
  if (start.value + length - 1 < start.value) return Error{name + ": its addresses wrap around"};
  if (!memory_.is_ram(start, length)) {
    return Error{name + " needs memory at " + describe(start, length) + ", but the guest has " +
                 std::to_string(memory_.size() >> 20) + " MiB: use a larger --memory"};
  }
  if (const Taken* other = overlapping(start, length)) {
    return Error{name + " (" + describe(start, length) + ") overlaps " + other->name + " (" +
                 describe(other->region.start, other->region.length) + ")"};
  }
  taken_.push_back({std::move(name), {start, length, type}});
  return success();
}

Result<GuestPhys> Placement::take_highest(std::string name, u64 length, GuestPhys limit) {
  // Candidates: right below the limit, the end of low RAM, and every region in the way.
  GuestPhys end = std::min(limit, std::min(memory_.end(), GuestPhys{kPciHoleStart}));
  while (end > kHighMemory && length <= end - kHighMemory) {
    const GuestPhys start{(end.value - length) & ~kPageMask};
    if (start < kHighMemory) break;
    const Taken* other = overlapping(start, length);
    if (!other) {
      if (Status taken = take(name, start, length); !taken) return taken.error();
      return start;
    }
    end = other->region.start;
  }
  return Error{name + " of " + std::to_string(length) + " bytes does not fit into the guest's " +
               std::to_string(memory_.size() >> 20) + " MiB beside the kernel: use a larger --memory"};
}

std::vector<Region> Placement::memory_map() const {
  std::vector<Region> ram;
  const GuestPhys low_end = std::min(memory_.end(), GuestPhys{kPciHoleStart});
  ram.push_back({GuestPhys{0}, kBaseMemoryEnd.value});
  if (low_end > kHighMemory) ram.push_back({kHighMemory, low_end - kHighMemory});
  if (memory_.end().value > kPciHoleEnd) ram.push_back({GuestPhys{kPciHoleEnd}, memory_.end().value - kPciHoleEnd});

  std::vector<Region> map;
  for (const Taken& t : taken_) {
    if (t.region.type != RegionType::ram) map.push_back(t.region);
  }
  for (Region part : ram) {
    std::vector<Region> holes;
    for (const Region& r : map) {
      if (r.type != RegionType::ram && r.start < part.start + part.length && part.start < r.start + r.length)
        holes.push_back(r);
    }
    std::sort(holes.begin(), holes.end(), [](const Region& a, const Region& b) { return a.start < b.start; });
    for (const Region& hole : holes) {
      if (hole.start > part.start) map.push_back({part.start, hole.start - part.start});
      const GuestPhys end = part.start + part.length;
      part.start = std::min(end, hole.start + hole.length);
      part.length = end - part.start;
    }
    if (part.length) map.push_back(part);
  }
  std::sort(map.begin(), map.end(), [](const Region& a, const Region& b) { return a.start < b.start; });
  return map;
}

}  // namespace rondo::boot
