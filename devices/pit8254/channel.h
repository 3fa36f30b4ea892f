// One counter of an 8254. Everything is a function of the tick; only guest accesses change the state.
#pragma once

#include <optional>

#include "core/state/stream.h"
#include "devices/pit8254/registers.h"

namespace rondo::devices {

class PitChannel {
 public:
  void reset();
  void set_gate(bool high, u64 tick);
  void write_control(u8 control);
  void write_count(u8 value, u64 tick);
  u8 read(u64 tick);
  void latch_count(u64 tick);
  void latch_status(u64 tick);
  bool gate() const { return gate_; }
  bool output(u64 tick) const;
  // The first tick after `tick` at which OUT goes from low to high by itself.
  std::optional<u64> next_rising_edge(u64 tick) const;
  void save(StateWriter& writer) const;
  void load(StateReader& reader);

 private:
  // A count and the tick at which it was, or will be, loaded.
  struct Cycle {
    u64 origin = 0;
    u32 count = 0;
  };
  bool periodic() const { return mode_ == 2 || mode_ == 3; }
  bool triggered_by_gate() const { return mode_ == 1 || mode_ == 5; }
  const Cycle& cycle_at(u64 tick) const { return has_next_ && tick >= next_.origin ? next_ : current_; }
  u64 elapsed(u64 tick) const;
  bool loaded(u64 tick) const;
  u16 count_register(u64 tick) const;
  void start(u32 count, u64 tick);

  u8 mode_ = 0;
  bool bcd_ = false;
  pit::Access access_ = pit::Access::low_high;
  bool gate_ = true;
  bool programmed_ = false;  // a count was written since the control word
  bool counting_ = false;    // current_ has an origin: started, and not stopped by the gate
  u32 reload_ = 0;           // the last count written: 1..65536
  Cycle current_;
  bool has_next_ = false;  // modes 2 and 3: a new count takes over at the end of a period
  Cycle next_;
  u64 frozen_elapsed_ = 0;  // modes 0 and 4 while the gate is low
  u8 first_byte_ = 0;
  bool second_write_ = false;
  bool second_read_ = false;
  bool count_latched_ = false;
  u16 latched_count_ = 0;
  bool status_latched_ = false;
  u8 latched_status_ = 0;
};

}  // namespace rondo::devices
