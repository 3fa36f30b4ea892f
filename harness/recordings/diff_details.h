// What there is to say about the first difference of two executions.
#pragma once

#include <string>
#include <vector>

#include "harness/recordings/diff_side.h"

namespace rondo::recordings {

struct RegisterDifference {
  std::string name;
  std::string before, a, b;  // hexadecimal; before: what both had at the last equal Moment
};

struct PageDifference {
  GuestPhys first;  // the first byte of the page that differs
  u8 before = 0, a = 0, b = 0;
  u64 bytes = 0;  // of the page that differ
};

struct Difference {
  enum class Cause : u8 {
    start,        // the states differ before the first instruction
    entered,      // what entered from outside at the last equal count: an event, or past the door
    instruction,  // the instruction that retired between the two counts, or what was delivered before it
    end,          // the states are equal, but one execution ends
    interval      // somewhere between the two counts; the states at the second one are told
  };
  Cause cause = Cause::instruction;
  std::string side_a, side_b;
  replay::Bracket bracket;
  VirtualNs before;              // virtual time at the last equal Moment ...
  VirtualNs a, b;                // ... and at the first different one, for each side
  u64 rip = 0;                   // of the instruction that retired in between; with other causes, of the next one
  std::string text;              // that instruction
  std::vector<std::string> way;  // what came before it since the last equal Moment: idle skips, deliveries
  std::string ended_a, ended_b;
  std::vector<std::string> components;
  std::vector<RegisterDifference> registers;
  std::vector<PageDifference> pages;  // the first ones
  u64 page_count = 0;                 // of all
  std::vector<replay::Event> events;  // the last ones up to this Moment, without state hashes
};

inline constexpr u64 kEventsTold = 8;

// Both sides stand at what they keep, the last equal position (with Cause::start: anywhere).
Result<Difference> examine(DiffSide& a, DiffSide& b, const replay::Bracket& bracket);
// The sides as they stand: components, registers, pages, times and ends; `before` may be null.
void compare_states(DiffSide& a, DiffSide& b, const DiffSide::Mark* before, Difference& difference);
// The last `most` events before event number `end`, without state hashes and notes about checkpoints.
std::vector<replay::Event> last_events(const std::string& recording, u64 end, u64 most);

}  // namespace rondo::recordings
