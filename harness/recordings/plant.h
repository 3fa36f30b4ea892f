// Planted faults: nondeterminism on purpose, so that tests can show that `rondo diff` finds it.
//
// Three ways in which a machine stops being a function of its configuration and events: a bit of host memory flips, the
// engine computes something wrong, a device lets the host's clock in past the door. They are attached from outside: in
// front of the door, around the engine, on the bus; nothing in the machine knows of them. What was made with one says
// so: on standard error, and in the recording's marks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/board.h"
#include "replay/format/manifest.h"

namespace rondo::recordings {

struct Plant {
  enum class Kind : u8 {
    memory,  // at the Moment of this count a bit of guest memory flips
    alu,     // the instruction that retires as this number, or the first one after it that changes a general register,
             // gets a bit of that register wrong: on the run drive only, as if its fast path were broken
    clock    // reads of port kClockPort give the host's clock
  };
  Kind kind = Kind::clock;
  InstrCount count;                  // memory, alu
  std::optional<GuestPhys> address;  // memory; none: drawn from the count
  unsigned bit = 0;                  // memory: 0..7; alu: 0..63
  bool operator==(const Plant&) const = default;
};

inline constexpr u16 kClockPort = 0x5f0;  // four bytes: nanoseconds modulo 2^32

// "memory@COUNT[:ADDRESS.BIT]", "alu@COUNT[:BIT]", "clock".
Result<Plant> parse_plant(const std::string& text);
std::string to_string(const Plant& plant);

// As a line among the marks of a recording's manifest, and back.
std::string plant_mark(const Plant& plant);
std::vector<Plant> plants_of(const replay::Manifest& manifest);

// The plants of one board. Attach before it runs.
class Plants {
 public:
  // The board outlives them, but runs no more after they are gone. Each fault is told on standard error as it happens
  // if `tell`.
  static Result<std::unique_ptr<Plants>> attach(Board& board, const std::vector<Plant>& plants, bool tell);
  ~Plants();
  // To run with instead of `inner`, which outlives it.
  Door& door(Door& inner);
  // The machine was put at this count; `entered`: at a Moment after what enters there.
  void moved(InstrCount count, bool entered);

 private:
  struct Parts;
  explicit Plants(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace rondo::recordings
