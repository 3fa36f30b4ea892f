#include "devices/pit8254/channel.h"

namespace rondo::devices {

using namespace pit;

namespace {

u32 from_bcd(u16 value) {
  return (value >> 12) * 1000u + ((value >> 8) & 15) * 100u + ((value >> 4) & 15) * 10u + (value & 15);
}
u16 to_bcd(u32 value) {
  return static_cast<u16>((value / 1000 % 10) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 | value % 10);
}

}  // namespace

// Power-on leaves the chip undefined. Mode 3 without a count has OUT high, so that the first control word makes no
// edge.
void PitChannel::reset() {
  const bool gate = gate_;
  *this = {};
  gate_ = gate;
  mode_ = 3;
}

u64 PitChannel::elapsed(u64 tick) const {
  if (!counting_) return frozen_elapsed_;
  const Cycle& cycle = cycle_at(tick);
  return tick > cycle.origin ? tick - cycle.origin : 0;
}

// The count is in the counting element: it is loaded one clock after the write, or at the end of the running period.
bool PitChannel::loaded(u64 tick) const {
  if (!programmed_) return false;
  if (has_next_ && tick < next_.origin) return false;
  return !counting_ || tick >= current_.origin;
}

void PitChannel::start(u32 count, u64 tick) {
  current_ = {tick + 1, count};
  has_next_ = false;
  next_ = {};
  frozen_elapsed_ = 0;
  counting_ = true;
}

void PitChannel::set_gate(bool high, u64 tick) {
  if (high == gate_) return;
  gate_ = high;
  if (!programmed_) return;
  if (triggered_by_gate() || periodic()) {
    if (high) {
      start(reload_, tick);
    } else if (periodic()) {
      counting_ = false;  // OUT goes high at once; the rising edge starts a new period
      has_next_ = false;
      next_ = {};
      frozen_elapsed_ = 0;
    }
    return;
  }
  // Modes 0 and 4: the gate only holds the count.
  if (high) {
    current_.origin = tick - frozen_elapsed_;
    if (frozen_elapsed_ > tick) current_.origin = 0;
    frozen_elapsed_ = 0;
    counting_ = true;
  } else {
    frozen_elapsed_ = elapsed(tick);
    counting_ = false;
  }
}

void PitChannel::write_control(u8 control) {
  const bool gate = gate_;
  *this = {};
  gate_ = gate;
  access_ = static_cast<Access>((control >> 4) & 3);
  const u8 mode = (control >> 1) & 7;
  mode_ = mode > 5 ? mode - 4 : mode;  // 6 and 7 are 2 and 3
  bcd_ = control & 1;
}

void PitChannel::write_count(u8 value, u64 tick) {
  u16 written = 0;
  if (access_ == Access::low) {
    written = value;
  } else if (access_ == Access::high) {
    written = static_cast<u16>(value << 8);
  } else if (!second_write_) {
    first_byte_ = value;
    second_write_ = true;
    // Mode 0: the first byte stops the count and sets OUT low.
    if (mode_ == 0) {
      programmed_ = counting_ = false;
      frozen_elapsed_ = 0;
    }
    return;
  } else {
    written = static_cast<u16>(value << 8 | first_byte_);
    second_write_ = false;
  }

  u32 count = bcd_ ? from_bcd(written) : written;
  if (count == 0) count = bcd_ ? 10000 : 65536;
  if (periodic() && count == 1) count = 2;  // 1 is illegal in these modes
  const bool running = programmed_ && counting_;
  reload_ = count;
  programmed_ = true;
  if (triggered_by_gate()) {
    if (!running) {
      current_ = {};
      frozen_elapsed_ = 0;
    }
    return;  // takes effect with the next trigger
  }
  if (periodic() && running) {
    if (has_next_ && tick >= next_.origin) current_ = next_;
    const u64 from = tick > current_.origin ? tick - current_.origin : 0;
    next_ = {current_.origin + (from / current_.count + 1) * current_.count, count};
    has_next_ = true;
    return;
  }
  if (gate_) {
    start(count, tick);
  } else {
    current_ = {0, count};
    frozen_elapsed_ = 0;
    counting_ = false;
  }
}

bool PitChannel::output(u64 tick) const {
  if (mode_ == 0) return programmed_ && elapsed(tick) >= current_.count;
  if (!counting_) return true;
  const Cycle& cycle = cycle_at(tick);
  if (tick < cycle.origin) return true;
  const u64 passed = tick - cycle.origin;
  switch (mode_) {
    case 1:
      return passed >= cycle.count;
    case 2:
      return passed % cycle.count != cycle.count - 1;
    case 3:
      return passed % cycle.count < (cycle.count + 1) / 2;
    default:
      return passed != cycle.count;  // 4 and 5: low for one clock
  }
}

std::optional<u64> PitChannel::next_rising_edge(u64 tick) const {
  if (!counting_) return std::nullopt;
  if (periodic()) {
    const Cycle& cycle = cycle_at(tick);
    if (has_next_ && tick < next_.origin && next_.origin - tick <= cycle.count) return next_.origin;
    const u64 passed = tick > cycle.origin ? tick - cycle.origin : 0;
    return cycle.origin + (passed / cycle.count + 1) * cycle.count;
  }
  const u64 edge = current_.origin + current_.count + (mode_ == 4 || mode_ == 5 ? 1 : 0);
  return edge > tick ? std::optional(edge) : std::nullopt;
}

// The counting element as the guest reads it.
u16 PitChannel::count_register(u64 tick) const {
  const u32 modulus = bcd_ ? 10000 : 65536;
  const u32 count = counting_ ? cycle_at(tick).count : programmed_ ? (periodic() ? reload_ : current_.count) : 0;
  const u64 passed = elapsed(tick);
  u32 value = count;
  if (mode_ == 2 && count != 0) {
    value = static_cast<u32>(count - passed % count);
  } else if (mode_ == 3 && count != 0) {
    // Counts down by two in both halves; an odd count starts from the even number below.
    const u32 phase = static_cast<u32>(passed % count);
    const u32 high_half = (count + 1) / 2;
    value = (count & ~1u) - 2 * (phase < high_half ? phase : phase - high_half);
  } else {
    value = static_cast<u32>((count + modulus - passed % modulus) % modulus);
  }
  value %= modulus;
  return bcd_ ? to_bcd(value) : static_cast<u16>(value);
}

void PitChannel::latch_count(u64 tick) {
  if (count_latched_) return;  // held until it is read
  count_latched_ = true;
  latched_count_ = count_register(tick);
}

void PitChannel::latch_status(u64 tick) {
  if (status_latched_) return;
  status_latched_ = true;
  latched_status_ = static_cast<u8>((output(tick) ? kStatusOut : 0) | (loaded(tick) ? 0 : kStatusNullCount) |
                                    static_cast<u8>(access_) << 4 | mode_ << 1 | (bcd_ ? 1 : 0));
}

u8 PitChannel::read(u64 tick) {
  if (status_latched_) {
    status_latched_ = false;
    const u8 status = latched_status_;
    latched_status_ = 0;
    return status;
  }
  const u16 value = count_latched_ ? latched_count_ : count_register(tick);
  const bool high = access_ == Access::high || (access_ == Access::low_high && second_read_);
  if (access_ == Access::low_high) second_read_ = !second_read_;
  // A latched count of two bytes stays until both are read.
  if (count_latched_ && !(access_ == Access::low_high && second_read_)) {
    count_latched_ = false;
    latched_count_ = 0;
  }
  return static_cast<u8>(high ? value >> 8 : value);
}

void PitChannel::save(StateWriter& writer) const {
  writer.write_u8(mode_);
  writer.write_u8(static_cast<u8>(access_));
  for (const bool flag :
       {bcd_, gate_, programmed_, counting_, has_next_, second_write_, second_read_, count_latched_, status_latched_}) {
    writer.write_bool(flag);
  }
  writer.write_u32(reload_);
  for (const Cycle* cycle : {&current_, &next_}) {
    writer.write_u64(cycle->origin);
    writer.write_u32(cycle->count);
  }
  writer.write_u64(frozen_elapsed_);
  writer.write_u8(first_byte_);
  writer.write_u16(latched_count_);
  writer.write_u8(latched_status_);
}

void PitChannel::load(StateReader& reader) {
  mode_ = reader.read_u8();
  access_ = static_cast<Access>(reader.read_u8() & 3);
  for (bool* flag : {&bcd_, &gate_, &programmed_, &counting_, &has_next_, &second_write_, &second_read_,
                     &count_latched_, &status_latched_}) {
    *flag = reader.read_bool();
  }
  reload_ = reader.read_u32();
  for (Cycle* cycle : {&current_, &next_}) {
    cycle->origin = reader.read_u64();
    cycle->count = reader.read_u32();
  }
  frozen_elapsed_ = reader.read_u64();
  first_byte_ = reader.read_u8();
  latched_count_ = reader.read_u16();
  latched_status_ = reader.read_u8();
  const bool divides_by_zero = (counting_ && current_.count == 0) || (has_next_ && next_.count == 0);
  if (mode_ > 5 || divides_by_zero) {
    reader.fail("saved state: pit8254 has an impossible counter");
    reset();
  }
}

}  // namespace rondo::devices
