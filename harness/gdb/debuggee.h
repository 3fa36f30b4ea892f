// What the protocol and the monitor commands see of the machine: its vCPU, its memory, and the way through time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "harness/gdb/symbols.h"
#include "harness/gdb/time_travel.h"

namespace rondo::gdb {

class Debuggee {
 public:
  Debuggee(TimeTravel& travel, const Symbols& symbols) : travel_(travel), symbols_(symbols) {}

  TimeTravel& travel() { return travel_; }
  CpuState cpu() { return travel_.machine().engine().state(); }
  const Symbols& symbols() const { return symbols_; }

  // Whether addresses of read() and write() are guest-physical instead of linear ones of the current address space.
  bool physical = false;
  // Up to the first byte that is not RAM; how many bytes that is. Touches no device and sets no Accessed bit.
  u64 read(u64 address, std::span<u8> out);
  // All or nothing. Writing what is there already changes nothing.
  bool write(u64 address, std::span<const u8> bytes);
  void set_cpu(const CpuState& cpu) { travel_.set_cpu(cpu); }

  // "ffffffff81000123 <start_kernel+0x23>"
  std::string name(u64 linear) const;
  // Where the vCPU stands, as a linear address.
  u64 linear_pc();

 private:
  std::optional<GuestPhys> to_physical(const CpuState& cpu, u64 address) const;
  TimeTravel& travel_;
  const Symbols& symbols_;
};

}  // namespace rondo::gdb
