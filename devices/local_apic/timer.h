// The local APIC's timer (SDM 3A 11.5.4): one-shot, periodic and TSC-deadline.
//
// Counts are computed from the time at which counting began; only guest accesses and expiry change the state.
#pragma once

#include <functional>
#include <string>

#include "core/time/clock.h"

namespace rondo::devices {

class ApicTimer {
 public:
  enum class Mode : u8 { one_shot = 0, periodic = 1, tsc_deadline = 2, reserved = 3 };

  // The timer's input clock before the divider: 1 GHz, as CPUID 15H tells the guest. The TSC runs at the same rate.
  static constexpr u64 kNsPerTick = 1;

  ApicTimer(Clock& clock, std::string name, std::function<void()> on_expiry);

  void reset();
  // What the LVT timer entry says. Changing to or from TSC-deadline mode stops the timer (11.5.4.1).
  void configure(Mode mode, bool masked);
  void write_initial_count(u32 value);
  u32 initial_count() const { return initial_count_; }
  u32 current_count() const;
  void write_divide(u8 value);
  u8 divide() const { return divide_; }
  void write_deadline(u64 tsc);
  u64 deadline() const { return deadline_; }
  void set_tsc_offset(u64 offset);

  void save(StateWriter& writer) const;
  void load(StateReader& reader);

 private:
  u64 ns_per_count() const;
  void rebase(u32 count);
  void schedule();
  void expired();

  Clock& clock_;
  const std::function<void()> on_expiry_;
  TimerId timer_;

  Mode mode_ = Mode::one_shot;
  bool masked_ = true;
  u8 divide_ = 0;
  u32 initial_count_ = 0;
  u32 base_count_ = 0;  // the count at base_time_; 0: stopped
  VirtualNs base_time_;
  u64 deadline_ = 0;  // 0: disarmed
  u64 tsc_offset_ = 0;
};

}  // namespace rondo::devices
