// Virtual time and the timers that devices arm on it.
//
// Time is a function of the instruction count: now = count * kNsPerInstruction + idle skips (DESIGN: promise 4). The
// engine sets the exact count before any device is touched, so a device that reads the clock in the middle of a block
// sees the exact Moment.
//
// Where nobody counts instructions (a run on KVM, and every replay of one), a TimeSource gives the time at each
// synchronous event: an access to a port, to a device's memory or to an MSR of time or of interrupts, one at a time,
// and a halt. The count is then the number of synchronous events (docs/decisions/0010-sampled-time.md). In a replay of
// what was counted afterwards it is that of instructions again, and time is sampled nevertheless.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"
#include "core/state/stream.h"

namespace rondo {

inline constexpr u64 kNsPerInstruction = 1;

// Index of a timer, given in the order of creation: the same for every run of one board.
struct TimerId {
  u32 index = 0;
};

// Gives the time of a machine whose instructions are not counted.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  // A synchronous event begins; `now` is the time so far. `joined`: nothing could be delivered since the previous
  // event, because both belong to one instruction or to one batch of a string instruction. Returns the time, not before
  // `now`.
  virtual VirtualNs at_event(VirtualNs now, bool joined) = 0;
  // The event is a time stamp: RDTSC or RDTSCP at `rip`, executed by the software engine. On hardware it is no event
  // unless the host can be made to trap it.
  virtual VirtualNs at_time_stamp(VirtualNs now, u64 rip) {
    static_cast<void>(rip);
    return at_event(now, false);
  }
  // The software engine executes, at CPL 3, an instruction that hardware may answer differently: no event.
  virtual void at_user_cpuid(u64 rip) { static_cast<void>(rip); }
  // The software engine has found such an instruction in code at CPL 3 that it is about to execute: no event.
  virtual void at_doubtful(u64 rip, std::string_view name) { static_cast<void>(rip), static_cast<void>(name); }
  // The vCPU was stopped where nothing happened (an asynchronous Moment): the time there, not before `now`.
  virtual VirtualNs at_kick(VirtualNs now) = 0;
  // Whether it is `due` by now. Asking changes nothing.
  virtual bool is_late(VirtualNs now, VirtualNs due) const = 0;
  // Whether the next event will be joined to the last one. Only a replay knows.
  virtual bool next_joins() const { return false; }
  // The machine's door wants to be visited as soon as the running instruction allows it. Only a replay does.
  virtual bool is_waited_for() const { return false; }
};

// What a Clock with a TimeSource counts.
enum class Counted : u8 { events, instructions };

class Clock final : public Saveable {
 public:
  VirtualNs now() const { return VirtualNs{count_.value * kNsPerInstruction + skipped_ns_}; }
  InstrCount count() const { return count_; }

  // Devices: create timers while the board is built, arm and disarm them afterwards. A timer that is due in the past
  // fires at the next opportunity. Timers due at the same time fire in order of their index.
  TimerId add_timer(std::string name, std::function<void()> on_due);
  void arm(TimerId timer, VirtualNs due);
  void disarm(TimerId timer);
  std::optional<VirtualNs> due(TimerId timer) const;

  // The scheduler's side.
  // The exact count of instructions. Where events are counted it is only noted: see instructions().
  void set_count(InstrCount count) {
    if (!source_) {
      count_ = count;
    } else {
      note_instructions(count);
    }
  }
  // A synchronous event begins at this count of instructions.
  void begin_event(InstrCount count, bool joined = false) {
    if (!source_) {
      count_ = count;
    } else {
      const VirtualNs before = begin_sample(count);
      advance_to(source_->at_event(before, joined));
    }
  }
  void begin_time_stamp(InstrCount count, u64 rip) { advance_to(source_->at_time_stamp(begin_sample(count), rip)); }
  void note_user_cpuid(u64 rip) {
    if (source_) source_->at_user_cpuid(rip);
  }
  void note_doubtful(u64 rip, std::string_view name) { source_->at_doubtful(rip, name); }
  // From now on time comes from `source`, which outlives its use, and the count is that of synchronous events or of
  // instructions. Null: time is a function of the count of instructions again, and goes on from now().
  void use_samples(TimeSource* source, Counted counted = Counted::events) {
    source_ = source;
    counted_ = counted;
  }
  bool sampled() const { return source_ != nullptr; }
  bool counts_events() const { return source_ && counted_ == Counted::events; }
  // Where events are counted: what the software engine has executed until it last told, which it does at each of them.
  InstrCount instructions() const { return counts_events() ? instructions_ : count_; }
  // The Moment is named by another count; now() stays.
  void recount(InstrCount count);
  // With a time source that counts instructions: the engine comes back when this time is reached.
  void set_alarm(std::optional<VirtualNs> when) { alarm_ = when; }
  // With a time source: the machine stands at an asynchronous Moment; it gets later. Whether it is later than `due`.
  void begin_asynchronous() { move_to(source_->at_kick(now())); }
  bool is_late(VirtualNs due) const { return source_->is_late(now(), due); }
  // Between events that are joined nothing is delivered.
  bool in_joined_events() const { return source_ && source_->next_joins(); }
  bool is_waited_for() const { return source_ && source_->is_waited_for(); }
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
  void note_instructions(InstrCount count);
  VirtualNs begin_sample(InstrCount count);
  void advance_to(VirtualNs when);
  void move_to(VirtualNs when);

  InstrCount count_;
  u64 skipped_ns_ = 0;       // with a time source: whatever makes now() right
  InstrCount instructions_;  // where events are counted; no state
  TimeSource* source_ = nullptr;
  Counted counted_ = Counted::events;
  std::optional<VirtualNs> alarm_;
  std::vector<Timer> timers_;
  std::optional<u32> next_;  // derived: the armed timer that fires first
};

}  // namespace rondo
