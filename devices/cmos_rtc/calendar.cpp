#include "devices/cmos_rtc/calendar.h"

#include <algorithm>
#include <chrono>

namespace rondo::devices {

namespace {

constexpr i64 kSecondsPerDay = 86400;

i64 days_of(i64 seconds) { return seconds / kSecondsPerDay - (seconds % kSecondsPerDay < 0 ? 1 : 0); }

}  // namespace

u8 RtcFormat::encode(unsigned value) const {
  return static_cast<u8>(binary ? value : (value / 10 % 10) << 4 | value % 10);
}

unsigned RtcFormat::decode(u8 value) const { return binary ? value : (value >> 4) * 10u + (value & 15u); }

u8 RtcFormat::encode_hours(unsigned hours) const {
  if (hours24) return encode(hours);
  const u8 shown = encode(hours % 12 == 0 ? 12 : hours % 12);
  return hours >= 12 ? shown | rtc::kPm : shown;
}

unsigned RtcFormat::decode_hours(u8 value) const {
  if (hours24) return decode(value);
  const unsigned hours = decode(value & static_cast<u8>(~rtc::kPm)) % 12;
  return value & rtc::kPm ? hours + 12 : hours;
}

int weekday_of(i64 seconds) {
  const i64 day = (days_of(seconds) + 4) % 7;  // 1970-01-01 was a Thursday
  return static_cast<int>(day < 0 ? day + 7 : day);
}

RtcTime to_registers(i64 seconds, int weekday_bias, RtcFormat format) {
  const i64 days = days_of(seconds);
  const unsigned second_of_day = static_cast<unsigned>(seconds - days * kSecondsPerDay);
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  const unsigned year = static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 25599));
  RtcTime time;
  time.seconds = format.encode(second_of_day % 60);
  time.minutes = format.encode(second_of_day / 60 % 60);
  time.hours = format.encode_hours(second_of_day / 3600);
  time.weekday = format.encode(static_cast<unsigned>((weekday_of(seconds) + weekday_bias) % 7) + 1);
  time.day = format.encode(static_cast<unsigned>(date.day()));
  time.month = format.encode(static_cast<unsigned>(date.month()));
  time.year = format.encode(year % 100);
  time.century = format.encode(year / 100);
  return time;
}

i64 from_registers(const RtcTime& time, RtcFormat format) {
  const int year = static_cast<int>(format.decode(time.century) * 100 + format.decode(time.year));
  const unsigned month = std::clamp(format.decode(time.month), 1u, 12u);
  const std::chrono::sys_days first = std::chrono::year{year} / static_cast<int>(month) / 1;
  const i64 days = first.time_since_epoch().count() + static_cast<i64>(format.decode(time.day)) - 1;
  return days * kSecondsPerDay + static_cast<i64>(format.decode_hours(time.hours)) * 3600 +
         static_cast<i64>(format.decode(time.minutes)) * 60 + static_cast<i64>(format.decode(time.seconds));
}

}  // namespace rondo::devices
