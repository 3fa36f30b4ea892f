#include "devices/local_apic/timer.h"

#include <utility>

#include "devices/local_apic/registers.h"

namespace rondo::devices {

ApicTimer::ApicTimer(Clock& clock, std::string name, std::function<void()> on_expiry)
    : clock_(clock), on_expiry_(std::move(on_expiry)) {
  timer_ = clock_.add_timer(std::move(name), [this] { expired(); });
}

void ApicTimer::reset() {
  mode_ = Mode::one_shot;
  masked_ = true;
  divide_ = 0;
  initial_count_ = base_count_ = 0;
  base_time_ = VirtualNs{};
  deadline_ = 0;
  clock_.disarm(timer_);
}

// Figure 11-10: 0 divides by 2, ..., 6 by 128, 7 by 1.
u64 ApicTimer::ns_per_count() const {
  const unsigned code = (divide_ & 3u) | ((divide_ & 8u) >> 1);
  return kNsPerTick << ((code + 1) & 7);
}

void ApicTimer::rebase(u32 count) {
  base_count_ = count;
  base_time_ = clock_.now();
}

void ApicTimer::configure(Mode mode, bool masked) {
  if (mode != mode_) {
    if (mode == Mode::tsc_deadline || mode_ == Mode::tsc_deadline) {
      deadline_ = 0;
      initial_count_ = 0;
      rebase(0);
    } else {
      rebase(current_count());
    }
    mode_ = mode;
  }
  masked_ = masked;
  schedule();
}

u32 ApicTimer::current_count() const {
  if (base_count_ == 0) return 0;
  const u64 elapsed = (clock_.now() - base_time_) / ns_per_count();
  if (elapsed < base_count_) return static_cast<u32>(base_count_ - elapsed);
  if (mode_ != Mode::periodic || initial_count_ == 0) return 0;
  return static_cast<u32>(initial_count_ - (elapsed - base_count_) % initial_count_);
}

void ApicTimer::write_initial_count(u32 value) {
  if (mode_ == Mode::tsc_deadline) return;  // ignored (11.5.4.1)
  initial_count_ = value;
  rebase(value);
  schedule();
}

// The divider restarts; the count goes on at the new rate.
void ApicTimer::write_divide(u8 value) {
  const u32 count = current_count();
  divide_ = value & lapic::kDivideWritable;
  rebase(count);
  schedule();
}

void ApicTimer::write_deadline(u64 tsc) {
  if (mode_ != Mode::tsc_deadline) return;  // ignored (11.5.4.1)
  deadline_ = tsc;
  if (deadline_ != 0 && deadline_ <= clock_.now().value + tsc_offset_) {
    expired();
  } else {
    schedule();
  }
}

void ApicTimer::set_tsc_offset(u64 offset) {
  if (offset == tsc_offset_) return;
  tsc_offset_ = offset;
  if (mode_ == Mode::tsc_deadline) schedule();
}

// Arms the clock for the next expiry that matters, if there is one. Expiries up to now have been dealt with.
void ApicTimer::schedule() {
  clock_.disarm(timer_);
  const VirtualNs now = clock_.now();
  if (mode_ == Mode::tsc_deadline) {
    if (deadline_ == 0) return;
    const u64 tsc = now.value + tsc_offset_;
    const u64 wait = deadline_ > tsc ? deadline_ - tsc : 0;
    // A deadline beyond the end of virtual time is never reached.
    if (now.value + wait >= now.value) clock_.arm(timer_, now + wait);
    return;
  }
  if (masked_ || base_count_ == 0) return;
  VirtualNs due = base_time_ + base_count_ * ns_per_count();
  if (due <= now) {
    if (mode_ != Mode::periodic || initial_count_ == 0) return;
    const u64 period = initial_count_ * ns_per_count();
    due += ((now - due) / period + 1) * period;
  }
  clock_.arm(timer_, due);
}

void ApicTimer::expired() {
  deadline_ = 0;
  schedule();
  if (!masked_) on_expiry_();
}

void ApicTimer::save(StateWriter& writer) const {
  writer.write_u8(static_cast<u8>(mode_));
  writer.write_bool(masked_);
  writer.write_u8(divide_);
  writer.write_u32(initial_count_);
  writer.write_u32(base_count_);
  writer.write_u64(base_time_.value);
  writer.write_u64(deadline_);
  writer.write_u64(tsc_offset_);
}

void ApicTimer::load(StateReader& reader) {
  mode_ = static_cast<Mode>(reader.read_u8() & 3);
  masked_ = reader.read_bool();
  divide_ = reader.read_u8() & lapic::kDivideWritable;
  initial_count_ = reader.read_u32();
  base_count_ = reader.read_u32();
  base_time_ = VirtualNs{reader.read_u64()};
  deadline_ = reader.read_u64();
  tsc_offset_ = reader.read_u64();
}

}  // namespace rondo::devices
