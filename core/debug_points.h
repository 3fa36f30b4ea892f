// A debugger's breakpoints and watchpoints on a vCPU, and where one of them stopped it. The guest sees nothing of them:
// its own debug registers have no part in it.
#pragma once

#include <compare>
#include <vector>

#include "core/base/types.h"

namespace rondo {

// A place between two steps of a vCPU. Steps that retire nothing (an interrupt is delivered, an instruction faults) have the
// same count, so they are numbered: how many deliveries there were since the count was reached. An interrupted REP is no
// place: it goes on.
struct Position {
  InstrCount count;
  u64 deliveries = 0;
  auto operator<=>(const Position&) const = default;
};

enum class WatchKind : u8 { write = 1, read = 2, access = 3 };

// Any access by the vCPU to [address, address + length) through this linear address, in whatever address space: by
// instructions, and by the processor itself (stacks of deliveries, descriptors). Not fetches and page walks.
struct Watchpoint {
  GuestLinear address;
  u64 length = 1;
  WatchKind kind = WatchKind::write;
  bool operator==(const Watchpoint&) const = default;
};

// Any number of each, of any size.
struct DebugPoints {
  std::vector<GuestLinear> breakpoints;
  std::vector<Watchpoint> watchpoints;
  bool operator==(const DebugPoints&) const = default;
};

// Why a vCPU stopped.
struct DebugStop {
  enum class Kind : u8 {
    breakpoint,  // before the instruction there; what was due at its Moment was delivered
    watchpoint   // after the instruction (or delivery) that accessed
  };
  Kind kind = Kind::breakpoint;
  GuestLinear breakpoint = {};
  std::vector<u32> watchpoints = {};  // indexes into DebugPoints::watchpoints, each once, in order of the accesses
  Position before = {};          // where the instruction that stopped it begins
};

}  // namespace rondo
