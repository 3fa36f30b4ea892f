// Virtual time and the timers that devices arm on it.
//
// Time is a function of the instruction count: now = count * kNsPerInstruction + idle skips (DESIGN: promise 4). The engine sets the
// exact count before any device is touched, so a device that reads the clock in the middle of a block sees the exact Moment.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "core/state/stream.h"

namespace rondo {

inline constexpr u64 kNsPerInstruction = 1;

// Index of a timer, given in the order of creation: the same for every run of one board.
struct TimerId {
  u32 index = 0;
};

class Clock final : public Saveable {
 public:
  VirtualNs now() const { return VirtualNs{count_.value * kNsPerInstruction + skipped_ns_}; }
  InstrCount count() const { return count_; }

  // Devices: create timers while the board is built, arm and disarm them afterwards. A timer that is due in the past fires at
  // the next opportunity. Timers due at the same time fire in order of their index.
  TimerId add_timer(std::string name, std::function<void()> on_due);
  void arm(TimerId timer, VirtualNs due);
  void disarm(TimerId timer);
  std::optional<VirtualNs> due(TimerId timer) const;

  // The scheduler's side.
  void set_count(InstrCount count) { count_ = count; }
  std::optional<VirtualNs> next_due() const;
  // The count at which the next timer is due, as long as nothing is skipped; none if no timer is armed.
  std::optional<InstrCount> next_due_count() const;
  // Fires every timer that is due now; a timer may rearm itself. Returns whether any fired.
  bool fire_due();
  // An idle skip: moves time forward to `when` without executing. No effect if it is in the past.
  void skip_to(VirtualNs when);

  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;

 private:
  struct Timer {
    std::string name;
    std::function<void()> on_due;
    bool armed = false;
    VirtualNs due;
  };
  void find_next();

  InstrCount count_;
  u64 skipped_ns_ = 0;
  std::vector<Timer> timers_;
  std::optional<u32> next_;  // derived: the armed timer that fires first
};

}  // namespace rondo
