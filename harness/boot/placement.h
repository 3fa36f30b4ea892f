// Who occupies which part of guest RAM at boot: nothing may overlap, nothing may lie outside.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/memory/physical_memory.h"

namespace rondo::boot {

// Types of the e820 map (ACPI 6.4, table 15-3).
enum class RegionType : u32 { ram = 1, reserved = 2, acpi_tables = 3 };

struct Region {
  GuestPhys start;
  u64 length = 0;
  RegionType type = RegionType::ram;
};

class Placement {
 public:
  explicit Placement(const PhysicalMemory& memory) : memory_(memory) {}

  // Takes [start, start + length) for `name`. An Error names both sides of an overlap, or the memory that is missing.
  // A `type` other than ram also shows in the memory map.
  Status take(std::string name, GuestPhys start, u64 length, RegionType type = RegionType::ram);
  // Takes the highest page-aligned free place of this length that ends at or below `limit` and lies at or above 1 MB.
  Result<GuestPhys> take_highest(std::string name, u64 length, GuestPhys limit);

  // The e820 map: RAM of a PC (the hole between 640 KB and 1 MB left out), with the regions that are not plain RAM cut
  // out.
  std::vector<Region> memory_map() const;

 private:
  struct Taken {
    std::string name;
    Region region;
  };
  const Taken* overlapping(GuestPhys start, u64 length) const;
  const PhysicalMemory& memory_;
  std::vector<Taken> taken_;
};

std::string describe(GuestPhys start, u64 length);  // "0x1000-0x1fff"

}  // namespace rondo::boot
