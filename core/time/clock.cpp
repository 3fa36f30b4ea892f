#include "core/time/clock.h"

#include <algorithm>

namespace rondo {

TimerId Clock::add_timer(std::string name, std::function<void()> on_due) {
  timers_.push_back({std::move(name), std::move(on_due), false, VirtualNs{}});
  return TimerId{static_cast<u32>(timers_.size() - 1)};
}

void Clock::arm(TimerId timer, VirtualNs due) {
  timers_.at(timer.index).armed = true;
  timers_[timer.index].due = due;
  find_next();
}

void Clock::disarm(TimerId timer) {
  if (!timers_.at(timer.index).armed) return;
  timers_[timer.index].armed = false;
  find_next();
}

std::optional<VirtualNs> Clock::due(TimerId timer) const {
  const Timer& t = timers_.at(timer.index);
  if (!t.armed) return std::nullopt;
  return t.due;
}

// A board has about a dozen timers: a scan beats a heap and has no order of its own to get wrong.
void Clock::find_next() {
  next_.reset();
  for (u32 i = 0; i < timers_.size(); ++i) {
    if (timers_[i].armed && (!next_ || timers_[i].due < timers_[*next_].due)) next_ = i;
  }
}

std::optional<VirtualNs> Clock::next_due() const {
  if (!next_) return std::nullopt;
  return timers_[*next_].due;
}

std::optional<InstrCount> Clock::next_due_count() const {
  if (source_ && ((alarm_ && *alarm_ <= now()) || is_waited_for())) return count_;
  if (!next_) return std::nullopt;
  const VirtualNs when = timers_[*next_].due;
  if (when <= now()) return count_;
  if (source_) return std::nullopt;  // at which event, nobody knows
  const u64 wait = when - now();
  const u64 instructions = wait / kNsPerInstruction + (wait % kNsPerInstruction != 0);
  // A timer beyond the 64-bit count is never reached.
  return count_.value + instructions < count_.value ? std::nullopt : std::optional(count_ + instructions);
}

bool Clock::fire_due() {
  bool fired = false;
  while (next_ && timers_[*next_].due <= now()) {
    Timer& timer = timers_[*next_];
    timer.armed = false;
    find_next();
    timer.on_due();
    fired = true;
  }
  return fired;
}

void Clock::note_instructions(InstrCount count) {
  if (counted_ == Counted::events) {
    instructions_ = count;
  } else {
    recount(count);
  }
}

// Where events are counted, the event's number is in the count while its time is asked for. now() stays.
VirtualNs Clock::begin_sample(InstrCount count) {
  note_instructions(count);
  if (counted_ == Counted::events) recount(count_ + 1);
  return now();
}

void Clock::advance_to(VirtualNs when) { move_to(std::max(now(), when)); }

void Clock::move_to(VirtualNs when) { skipped_ns_ = when.value - count_.value * kNsPerInstruction; }

void Clock::recount(InstrCount count) {
  const VirtualNs time = now();
  count_ = count;
  move_to(time);
}

void Clock::skip_to(VirtualNs when) {
  if (when > now()) skipped_ns_ += when - now();
}

void Clock::save(StateWriter& writer) const {
  writer.section("clock", 1);
  writer.write_u64(count_.value);
  writer.write_u64(skipped_ns_);
  writer.write_u32(static_cast<u32>(timers_.size()));
  for (const Timer& timer : timers_) {
    writer.write_bool(timer.armed);
    writer.write_u64(timer.armed ? timer.due.value : 0);
  }
}

void Clock::load(StateReader& reader) {
  reader.section("clock", 1);
  count_ = InstrCount{reader.read_u64()};
  skipped_ns_ = reader.read_u64();
  if (reader.read_u32() != timers_.size()) reader.fail("saved state: the number of timers differs from this board's");
  if (!reader.ok()) return;
  for (Timer& timer : timers_) {
    timer.armed = reader.read_bool();
    timer.due = VirtualNs{reader.read_u64()};
  }
  find_next();
}

}  // namespace rondo
