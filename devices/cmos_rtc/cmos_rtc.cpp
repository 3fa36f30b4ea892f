#include "devices/cmos_rtc/cmos_rtc.h"

#include <algorithm>
#include <optional>

#include "devices/wiring/ticks.h"

namespace rondo::devices {

using namespace rtc;

namespace {

constexpr i64 kNever = INT64_MAX;
constexpr i64 kSecondsPerDay = 86400;
// Seconds beyond what the registers can say (century 255), and within what calendar arithmetic can: the year 27321.
constexpr i64 kLatest = 800'000'000'000;

constexpr u8 RtcTime::*kFields[] = {&RtcTime::seconds, &RtcTime::minutes, &RtcTime::hours, &RtcTime::weekday,
                                    &RtcTime::day,     &RtcTime::month,   &RtcTime::year,  &RtcTime::century};
constexpr u8 kFieldIndex[] = {kSeconds, kMinutes, kHours, kWeekday, kDay, kMonth, kYear, kCentury};

}  // namespace

CmosRtc::CmosRtc(Clock& clock, InterruptLine& irq8, CmosRtcConfig config)
    : clock_(clock), irq_(irq8), base_seconds_(std::clamp(config.start_unix_seconds, -kLatest, kLatest)) {
  timer_ = clock_.add_timer("cmos_rtc", [this] { update(); });
  second_start_ = clock_.now().value;
  ram_[kA] = kDividerRunning | 6;  // 1024 Hz, as firmware leaves it
  ram_[kB] = k24Hours;
  ram_[kD] = kValid;
  reset();
}

// RESET clears the interrupt enables and flags and the square wave; the time and the RAM live on.
void CmosRtc::reset() {
  ram_[kB] &= static_cast<u8>(~(kInterruptEnables | kSquareWave));
  index_ = 0;
  flags_ = 0;
  flags_since_ = clock_.now().value;
  update();
}

bool CmosRtc::is_time(u8 index) {
  return std::find(std::begin(kFieldIndex), std::end(kFieldIndex), index) != std::end(kFieldIndex);
}

// The number of the second that `at` lies in.
i64 CmosRtc::seconds_at(u64 at) const {
  const i64 ns = chain_ns(at);
  return base_seconds_ + (ns >= 0 ? ns / static_cast<i64>(kNsPerSecond) : -1);
}

u64 CmosRtc::crystal_ticks(u64 at) const {
  const i64 ns = chain_ns(at);
  return ns >= 0 ? ticks_at(static_cast<u64>(ns), kCrystalHz) : 0;
}

// The period of the periodic interrupt in crystal ticks, 0 if there is none (table 5). All divide a second, so both
// share one origin.
u64 CmosRtc::periodic_ticks() const {
  const unsigned rate = register_a() & kRateMask;
  if (rate == 0 || !divider_running()) return 0;
  return u64{1} << (rate <= 2 ? rate + 6 : rate - 1);
}

// The first second after `after` that matches the alarm bytes, kNever if none does.
i64 CmosRtc::next_alarm(i64 after) const {
  const RtcFormat f = format();
  const auto wanted = [&](u8 index) -> std::optional<unsigned> {
    const u8 value = ram_[index];
    if ((value & kAlarmDontCare) == kAlarmDontCare) return std::nullopt;
    return index == kHoursAlarm ? f.decode_hours(value) : f.decode(value);
  };
  const std::optional<unsigned> hour = wanted(kHoursAlarm), minute = wanted(kMinutesAlarm),
                                second = wanted(kSecondsAlarm);
  if (hour.value_or(0) > 23 || minute.value_or(0) > 59 || second.value_or(0) > 59) return kNever;
  for (i64 t = after + 1; t <= after + 2 * kSecondsPerDay;) {
    const i64 of_day = ((t % kSecondsPerDay) + kSecondsPerDay) % kSecondsPerDay;
    if (hour && of_day / 3600 != *hour) {
      t += 3600 - of_day % 3600;
    } else if (minute && of_day / 60 % 60 != *minute) {
      t += 60 - of_day % 60;
    } else if (second && of_day % 60 != *second) {
      ++t;
    } else {
      return t;
    }
  }
  return kNever;
}

u8 CmosRtc::read_time(u8 index) const {
  if (!running()) return ram_[index];
  const RtcTime time = to_registers(seconds_at(clock_.now().value), weekday_bias_, format());
  for (unsigned i = 0; i < std::size(kFields); ++i) {
    if (kFieldIndex[i] == index) return time.*kFields[i];
  }
  return 0;
}

// The clock stops: its registers hold the time.
void CmosRtc::store_time() {
  const RtcTime time = to_registers(seconds_at(clock_.now().value), weekday_bias_, format());
  for (unsigned i = 0; i < std::size(kFields); ++i) ram_[kFieldIndex[i]] = time.*kFields[i];
}

// The clock runs on from what its registers hold. The phase of the divider chain stays.
void CmosRtc::adopt_time() {
  RtcTime time;
  for (unsigned i = 0; i < std::size(kFields); ++i) {
    time.*kFields[i] = ram_[kFieldIndex[i]];
    ram_[kFieldIndex[i]] = 0;
  }
  base_seconds_ = from_registers(time, format());
  const int shown = static_cast<int>((format().decode(time.weekday) + 6) % 7);
  weekday_bias_ = static_cast<u8>((shown - weekday_of(base_seconds_) + 7) % 7);
  const i64 ns = chain_ns(clock_.now().value);
  if (ns > 0) second_start_ += static_cast<u64>(ns - ns % static_cast<i64>(kNsPerSecond));
}

void CmosRtc::write_time(u8 index, u8 value) {
  if (!running()) {
    ram_[index] = value;
    return;
  }
  settle_flags();
  store_time();
  ram_[index] = value;
  adopt_time();
  update();
}

// Register C without its sum: what was set when last settled and what has happened since.
u8 CmosRtc::flags() const {
  const u64 now = clock_.now().value;
  u8 value = flags_;
  if (const u64 period = periodic_ticks();
      period != 0 && crystal_ticks(now) / period > crystal_ticks(flags_since_) / period) {
    value |= kPeriodicEnable;
  }
  if (running()) {
    const i64 before = seconds_at(flags_since_), after = seconds_at(now);
    if (after > before) value |= kUpdateEnable;
    if (after > before && next_alarm(before) <= after) value |= kAlarmEnable;
  }
  return value;
}

void CmosRtc::settle_flags() {
  flags_ = flags();
  flags_since_ = clock_.now().value;
}

// Drives the line, and arms the clock for the next event that would raise it.
void CmosRtc::update() {
  const u8 enables = register_b() & kInterruptEnables;
  const bool pending = flags() & enables;
  irq_.set_level(pending);
  clock_.disarm(timer_);
  if (pending || enables == 0) return;  // a raised line waits for register C to be read
  const u64 now = clock_.now().value;
  std::optional<u64> due;
  const auto consider = [&](u64 when) { due = due ? std::min(*due, when) : when; };
  if (const u64 period = periodic_ticks(); (enables & kPeriodicEnable) && period != 0) {
    consider(second_start_ + time_of_tick((crystal_ticks(now) / period + 1) * period, kCrystalHz));
  }
  if (running()) {
    const auto start_of = [&](i64 second) {
      return second_start_ + static_cast<u64>(second - base_seconds_) * kNsPerSecond;
    };
    const i64 current = seconds_at(now);
    if (enables & kUpdateEnable) consider(start_of(current + 1));
    if (enables & kAlarmEnable) {
      if (const i64 alarm = next_alarm(current); alarm != kNever) consider(start_of(alarm));
    }
  }
  if (due) clock_.arm(timer_, VirtualNs{*due});
}

u8 CmosRtc::read_byte(u64 offset) {
  if (offset == 0) return 0xff;
  if (is_time(index_)) return read_time(index_);
  if (index_ == kA) {
    const i64 ns = chain_ns(clock_.now().value);
    const i64 second = static_cast<i64>(kNsPerSecond);
    const i64 left = ns >= 0 ? second - ns % second : -ns;
    const bool updating = running() && left <= static_cast<i64>(kUpdateWarningNs);
    return register_a() | (updating ? kUpdateInProgress : 0);
  }
  if (index_ == kC) {
    const u8 value = flags();
    const bool raised = value & register_b() & kInterruptEnables;
    flags_ = 0;
    flags_since_ = clock_.now().value;
    update();
    return value | (raised ? kInterrupt : 0);
  }
  return ram_[index_];
}

void CmosRtc::write_byte(u64 offset, u8 value) {
  if (offset == 0) {
    index_ = value & kIndexMask;
  } else {
    write_data(value);
  }
}

void CmosRtc::write_data(u8 value) {
  switch (index_) {
    case kA:
      write_a(value);
      return;
    case kB:
      write_b(value);
      return;
    case kC:
    case kD:
      return;  // read-only
    default:
      break;
  }
  if (is_time(index_)) {
    write_time(index_, value);
    return;
  }
  if (index_ == kSecondsAlarm || index_ == kMinutesAlarm || index_ == kHoursAlarm) settle_flags();
  ram_[index_] = value;
  update();
}

void CmosRtc::write_a(u8 value) {
  settle_flags();
  const bool was_running = running();
  const bool divider_was_running = divider_running();
  if (was_running) store_time();
  ram_[kA] = value & static_cast<u8>(~kUpdateInProgress);
  // A released divider starts anew: the first update comes half a second later.
  if (!divider_was_running && divider_running()) second_start_ = clock_.now().value - (kNsPerSecond - kFirstUpdateNs);
  if (running()) adopt_time();
  update();
}

void CmosRtc::write_b(u8 value) {
  settle_flags();
  if (value & kSet) value &= static_cast<u8>(~kUpdateEnable);
  const bool was_running = running();
  if (was_running && (value & kSet)) store_time();
  ram_[kB] = value;
  if (!was_running && running()) adopt_time();
  update();
}

void CmosRtc::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_bytes(ram_);
  writer.write_u8(index_);
  writer.write_u64(second_start_);
  writer.write_u64(static_cast<u64>(base_seconds_));
  writer.write_u8(weekday_bias_);
  writer.write_u8(flags_);
  writer.write_u64(flags_since_);
}

void CmosRtc::load(StateReader& reader) {
  reader.section(name(), 1);
  reader.read_bytes_into(ram_);
  index_ = reader.read_u8() & kIndexMask;
  second_start_ = reader.read_u64();
  base_seconds_ = static_cast<i64>(reader.read_u64());
  weekday_bias_ = reader.read_u8();
  flags_ = reader.read_u8();
  flags_since_ = reader.read_u64();
  if (base_seconds_ > kLatest || base_seconds_ < -kLatest || weekday_bias_ > 6) {
    reader.fail("saved state: cmos_rtc has an impossible time");
    base_seconds_ = 0;
    weekday_bias_ = 0;
  }
}

}  // namespace rondo::devices
