// Between seconds since 1970-01-01T00:00:00 and the clock's registers in any of its formats.
#pragma once

#include <array>

#include "core/base/types.h"
#include "devices/cmos_rtc/registers.h"

namespace rondo::devices {

// The registers that make up a time, as the guest sees them.
struct RtcTime {
  u8 seconds = 0, minutes = 0, hours = 0, weekday = 1, day = 1, month = 1, year = 0, century = 0;
};

// How register B says that numbers are written.
struct RtcFormat {
  bool binary = false;
  bool hours24 = true;
  explicit RtcFormat(u8 register_b) : binary(register_b & rtc::kBinary), hours24(register_b & rtc::k24Hours) {}
  u8 encode(unsigned value) const;
  unsigned decode(u8 value) const;
  u8 encode_hours(unsigned hours) const;
  unsigned decode_hours(u8 value) const;
};

RtcTime to_registers(i64 seconds, int weekday_bias, RtcFormat format);
// Fields out of range carry over into the next larger one; a month out of range is taken as the nearest.
i64 from_registers(const RtcTime& time, RtcFormat format);
// Days from Sunday, 0..6.
int weekday_of(i64 seconds);

}  // namespace rondo::devices
