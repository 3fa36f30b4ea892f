// Real-time clock and CMOS RAM of a PC (Motorola MC146818A; ports 0x70 and 0x71).
//
// Modelled: time of day from a configured start, advanced by virtual time; BCD and binary, 12 and 24 hours, day of the
// week, century byte (0x32); SET, divider control, UIP; periodic, alarm and update-ended interrupts; CMOS RAM. The
// clock has a battery: reset leaves the time.
//
// Limits: an update is instantaneous (UIP is set for 244 us before it, never during it); a time that is not one (month
// 13, 99 minutes) is brought to a real one when the clock runs on; no daylight saving, no square wave; the NMI mask
// (index bit 7) is accepted and has no effect; the index port reads as 0xff.
#pragma once

#include <array>

#include "core/device.h"
#include "devices/cmos_rtc/calendar.h"
#include "devices/cmos_rtc/registers.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

inline constexpr i64 kDefaultStartTime = 1'704'067'200;  // 2024-01-01T00:00:00Z

struct CmosRtcConfig {
  i64 start_unix_seconds = kDefaultStartTime;
};

class CmosRtc final : public Device, public ByteTarget {
 public:
  CmosRtc(Clock& clock, InterruptLine& irq8, CmosRtcConfig config = {});

  std::string_view name() const override { return "cmos_rtc"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;

 protected:
  u8 read_byte(u64 offset) override;
  void write_byte(u64 offset, u8 value) override;

 private:
  u8 register_a() const { return ram_[rtc::kA]; }
  u8 register_b() const { return ram_[rtc::kB]; }
  RtcFormat format() const { return RtcFormat(register_b()); }
  bool divider_running() const { return (register_a() & rtc::kDividerMask) == rtc::kDividerRunning; }
  bool running() const { return divider_running() && !(register_b() & rtc::kSet); }
  static bool is_time(u8 index);

  i64 chain_ns(u64 at) const { return static_cast<i64>(at - second_start_); }
  i64 seconds_at(u64 at) const;
  u64 crystal_ticks(u64 at) const;
  u64 periodic_ticks() const;
  i64 next_alarm(i64 after) const;
  u8 read_time(u8 index) const;
  void write_time(u8 index, u8 value);
  void store_time();
  void adopt_time();
  void write_data(u8 value);
  void write_a(u8 value);
  void write_b(u8 value);
  u8 flags() const;
  void settle_flags();
  void update();

  Clock& clock_;
  InterruptLine& irq_;
  TimerId timer_;
  std::array<u8, rtc::kBytes> ram_{};  // while running the time's bytes are unused and zero
  u8 index_ = 0;
  // The divider chain: seconds end every 10^9 ns from second_start_ on, modulo 2^64: it can lie before time zero.
  u64 second_start_ = 0;
  i64 base_seconds_ = 0;  // the time at second_start_, while running
  u8 weekday_bias_ = 0;   // what the guest added to the true day of the week
  u8 flags_ = 0;          // register C as of flags_since_
  u64 flags_since_ = 0;   // events after this time are computed
};

}  // namespace rondo::devices
