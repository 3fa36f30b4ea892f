// Port and memory-mapped I/O: which device answers an address.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo {

// What a device offers to a bus. Offsets are relative to the mapped region. size is 1, 2, 4 or 8 bytes (8 only for MMIO); a read returns
// the value zero-extended. Whatever the guest asks, a target answers; unmodelled accesses are counted by the device and ignored.
class BusTarget {
 public:
  virtual ~BusTarget() = default;
  virtual u64 bus_read(u64 offset, unsigned size) = 0;
  virtual void bus_write(u64 offset, unsigned size, u64 value) = 0;
};

// One address space. An access that no region covers entirely reads as all ones, is ignored when written, and is counted.
class Bus {
 public:
  // Fails if the region overlaps another.
  Status map(u64 base, u64 length, BusTarget& target, std::string name);
  u64 read(u64 address, unsigned size);
  void write(u64 address, unsigned size, u64 value);
  // Whether any region touches [address, address + length).
  bool covers(u64 address, u64 length = 1) const;
  u64 unclaimed_accesses() const { return unclaimed_; }

 private:
  struct Region {
    u64 base;
    u64 length;
    BusTarget* target;
    std::string name;
  };
  Region* find(u64 address, unsigned size);
  std::vector<Region> regions_;  // sorted by base
  u64 unclaimed_ = 0;            // a diagnostic, not machine state
};

}  // namespace rondo
