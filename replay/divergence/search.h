// The search for the first Moment at which two executions differ.
//
// It never looks at what a state means: it puts two sides at Moments and asks whether they are equal. A difference may
// heal later; the search keeps an equal Moment on its left and a differing one on its right all the time, so what it
// ends with is always a Moment at which the states are equal directly followed by one at which they are not.
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/base/types.h"
#include "replay/format/event.h"

namespace rondo::replay {

// A place in an execution. At one count there are two: the machine has just arrived there; and what enters there from
// outside has entered, but nothing was executed yet. Interrupt deliveries, idle skips and the instruction come after
// that.
struct Position {
  InstrCount count;
  bool entered = false;
  auto operator<=>(const Position&) const = default;
};

// What is compared. Two executions that stand at the same place are equal if this is.
struct SideState {
  Position position;
  VirtualNs time;
  std::string ended;  // why the execution is over; empty: it goes on
  StateHash hash;
  bool operator==(const SideState&) const = default;
};

// One of two executions.
class Side {
 public:
  virtual ~Side() = default;
  // Goes forward to the position, or to where the execution ends before it.
  virtual Status go_to(const Position& position) = 0;
  virtual SideState state() = 0;
  // Remembers where it stands; goes back there. May be called again and again.
  virtual void keep() = 0;
  virtual Status go_back() = 0;
};

struct Bracket {
  Position last_equal;
  Position first_different;
  bool operator==(const Bracket&) const = default;
};

struct SearchLimits {
  Position from;   // where both stand
  InstrCount to;   // where to look to
  u64 stride = 0;  // looks at least this often, in instructions; 0: at `to` first
};

// Told how far the search has come: the range in which the difference is, or may be.
using SearchProgress = std::function<void(InstrCount from, InstrCount to)>;

// Both sides stand at `from` and are equal there. Afterwards they are equal at what they keep: with a bracket, at its
// last equal position. None: no difference was seen at the places that were looked at.
Result<std::optional<Bracket>> find_divergence(Side& a, Side& b, const SearchLimits& limits,
                                               const SearchProgress& progress = {});

}  // namespace rondo::replay
