#include "devices/cmos_rtc/cmos_rtc.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

using namespace rtc;

constexpr u64 kSecond = 1'000'000'000;
constexpr u64 kMs = 1'000'000;

class Rtc : public ::testing::Test {
 protected:
  u8 get(u8 index) {
    out8(rtc_, 0, index);
    return in8(rtc_, 1);
  }
  void set(u8 index, u8 value) {
    out8(rtc_, 0, index);
    out8(rtc_, 1, value);
  }
  using Time =
      std::array<unsigned, 6>;  // century and year, month, day, hours, minutes, seconds, as written in hexadecimal
  Time time() {
    return {get(kCentury) * 0x100u + get(kYear), get(kMonth), get(kDay), get(kHours), get(kMinutes), get(kSeconds)};
  }

  Clock clock_;
  FakeLine irq_;
  CmosRtc rtc_{clock_, irq_};
};

TEST_F(Rtc, StartsAtTheConfiguredTime) {
  EXPECT_EQ(time(), (Time{0x2024, 1, 1, 0, 0, 0}));
  EXPECT_EQ(get(kWeekday), 2);  // a Monday
  EXPECT_EQ(get(kD), kValid);
  EXPECT_EQ(get(kA) & ~kUpdateInProgress, 0x26);
  EXPECT_EQ(get(kB), k24Hours);
}

TEST_F(Rtc, RunsOnVirtualTime) {
  run_for(clock_, 59 * kSecond + 999 * kMs);
  EXPECT_EQ(get(kSeconds), 0x59);
  run_for(clock_, kMs);
  EXPECT_EQ(time(), (Time{0x2024, 1, 1, 0, 1, 0}));
  run_for(clock_, (31 + 28) * 86400 * kSecond);
  EXPECT_EQ(time(), (Time{0x2024, 2, 0x29, 0, 1, 0}));  // a leap year
  run_for(clock_, 86400 * kSecond);
  EXPECT_EQ(time(), (Time{0x2024, 3, 1, 0, 1, 0}));
  EXPECT_EQ(clock_.next_due(), std::nullopt);  // no host work for a clock that only runs
}

TEST_F(Rtc, FormatsBinaryAndTwelveHours) {
  run_for(clock_, 13 * 3600 * kSecond + 45 * 60 * kSecond);
  EXPECT_EQ(get(kHours), 0x13);
  set(kB, k24Hours | kBinary);
  EXPECT_EQ(get(kHours), 13);
  EXPECT_EQ(get(kMinutes), 45);
  EXPECT_EQ(get(kCentury), 20);
  set(kB, 0);
  EXPECT_EQ(get(kHours), kPm | 0x01);
  set(kB, kBinary);
  run_for(clock_, 11 * 3600 * kSecond);
  EXPECT_EQ(get(kHours), 12);  // midnight
}

TEST_F(Rtc, UpdateInProgressBeforeEachSecond) {
  run_for(clock_, kSecond - 245'000);
  EXPECT_FALSE(get(kA) & kUpdateInProgress);
  run_for(clock_, 1'000);
  EXPECT_TRUE(get(kA) & kUpdateInProgress);
  run_for(clock_, 244'000);
  EXPECT_FALSE(get(kA) & kUpdateInProgress);
  EXPECT_EQ(get(kSeconds), 1);
}

TEST_F(Rtc, SettingTheTime) {
  run_for(clock_, 300 * kMs);
  set(kB, k24Hours | kSet);
  set(kCentury, 0x19);
  set(kYear, 0x99);
  set(kMonth, 0x12);
  set(kDay, 0x31);
  set(kHours, 0x23);
  set(kMinutes, 0x59);
  set(kSeconds, 0x59);
  set(kWeekday, 6);
  run_for(clock_, 10 * kSecond);
  EXPECT_EQ(get(kSeconds), 0x59);  // stands still
  EXPECT_FALSE(get(kA) & kUpdateInProgress);
  set(kB, k24Hours);
  run_for(clock_, 699 * kMs);
  EXPECT_EQ(get(kSeconds), 0x59);
  run_for(clock_, kMs);  // the divider kept its phase
  EXPECT_EQ(time(), (Time{0x2000, 1, 1, 0, 0, 0}));
  EXPECT_EQ(get(kWeekday), 7);
}

TEST_F(Rtc, WritingOneRegisterOfARunningClock) {
  set(kMinutes, 0x30);
  EXPECT_EQ(time(), (Time{0x2024, 1, 1, 0, 0x30, 0}));
  set(kWeekday, 5);
  EXPECT_EQ(get(kWeekday), 5);
  run_for(clock_, 86400 * kSecond);
  EXPECT_EQ(get(kWeekday), 6);
}

TEST_F(Rtc, NonsenseBecomesATime) {
  set(kB, k24Hours | kSet);
  for (const u8 index : {kSeconds, kMinutes, kHours, kDay, kMonth, kYear, kCentury}) set(index, 0xff);
  EXPECT_EQ(get(kMonth), 0xff);
  set(kB, k24Hours);
  EXPECT_LE(get(kMonth), 0x12);
  EXPECT_LE(get(kSeconds), 0x59);
}

TEST_F(Rtc, ReleasedDividerUpdatesAfterHalfASecond) {
  set(kA, 0x66);
  run_for(clock_, 5 * kSecond);
  EXPECT_EQ(get(kSeconds), 0);
  set(kA, 0x26);
  run_for(clock_, 499 * kMs);
  EXPECT_EQ(get(kSeconds), 0);
  run_for(clock_, kMs);
  EXPECT_EQ(get(kSeconds), 1);
}

TEST_F(Rtc, PeriodicInterrupt) {
  set(kB, k24Hours | kPeriodicEnable);  // 1024 Hz
  run_for(clock_, 976'000);
  EXPECT_FALSE(irq_.level);
  run_for(clock_, 1'000);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(clock_.next_due(), std::nullopt);  // until it is acknowledged
  EXPECT_EQ(get(kC), kInterrupt | kPeriodicEnable);
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(get(kC), 0);
  for (int i = 0; i < 1024; ++i) {
    run_for(clock_, *clock_.next_due() - clock_.now());
    ASSERT_TRUE(irq_.level);
    get(kC);
  }
  EXPECT_EQ(irq_.rises, 1025u);
  EXPECT_EQ(clock_.now().value / kMs, 1000u);
}

TEST_F(Rtc, FlagsAreSetWithoutEnables) {
  run_for(clock_, 2 * kSecond);
  EXPECT_EQ(get(kC), kPeriodicEnable | kUpdateEnable);
  EXPECT_EQ(get(kC), 0);
  EXPECT_FALSE(irq_.level);
  run_for(clock_, 2 * kSecond);
  set(kB, k24Hours | kUpdateEnable);  // the flag is already there
  EXPECT_TRUE(irq_.level);
}

TEST_F(Rtc, UpdateEndedInterrupt) {
  run_for(clock_, 500 * kMs);
  get(kC);
  set(kB, k24Hours | kUpdateEnable);
  run_for(clock_, 499 * kMs);
  EXPECT_FALSE(irq_.level);
  run_for(clock_, kMs);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(get(kC) & (kInterrupt | kUpdateEnable), kInterrupt | kUpdateEnable);
}

TEST_F(Rtc, AlarmWithAndWithoutWildcards) {
  set(kHoursAlarm, 0x01);
  set(kMinutesAlarm, 0x02);
  set(kSecondsAlarm, 0x03);
  get(kC);
  set(kB, k24Hours | kAlarmEnable);
  EXPECT_EQ(clock_.next_due(), VirtualNs{(3600 + 2 * 60 + 3) * kSecond});
  run_for(clock_, 3723 * kSecond);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(get(kC) & kAlarmEnable, kAlarmEnable);
  EXPECT_EQ(clock_.next_due(), VirtualNs{(86400 + 3723) * kSecond});
  set(kHoursAlarm, 0xff);
  set(kMinutesAlarm, 0xc0);
  EXPECT_EQ(clock_.next_due(), VirtualNs{3783 * kSecond});
  set(kSecondsAlarm, 0x99);  // never
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Rtc, CmosRamAndPorts) {
  set(0x40, 0x5a);
  set(0x7f, 0xa5);
  out8(rtc_, 0, 0x80 | 0x40);  // with NMI masked
  EXPECT_EQ(in8(rtc_, 1), 0x5a);
  EXPECT_EQ(in8(rtc_, 0), 0xff);
  rtc_.bus_write(0, 2, 0x3340);  // index and data in one word
  EXPECT_EQ(get(0x40), 0x33);
  set(kD, 0);
  EXPECT_EQ(get(kD), kValid);
}

TEST_F(Rtc, ResetKeepsTimeAndRam) {
  set(0x40, 1);
  set(kB, k24Hours | kPeriodicEnable);
  run_for(clock_, 3 * kSecond);
  rtc_.reset();
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(get(kB), k24Hours);
  EXPECT_EQ(get(0x40), 1);
  EXPECT_EQ(get(kSeconds), 3);
}

TEST_F(Rtc, RestoredWithAnAlarmPending) {
  set(kMinutesAlarm, 0x10);
  set(kSecondsAlarm, 0x00);
  set(kHoursAlarm, 0xff);
  set(kWeekday, 3);
  set(kB, k24Hours | kAlarmEnable);
  run_for(clock_, 77'777 * kMs);
  Clock clock;
  FakeLine irq;
  CmosRtc other(clock, irq, {.start_unix_seconds = 0});
  ASSERT_TRUE(copy_state(rtc_, clock_, other, clock));
  irq.rises = irq_.rises = 0;
  run_for(clock, 600 * kSecond);
  run_for(clock_, 600 * kSecond);
  EXPECT_EQ(irq.rises, 1u);
  EXPECT_EQ(irq_.rises, 1u);
  EXPECT_EQ(saved(other), saved(rtc_));
  EXPECT_EQ(in8(other, 1), in8(rtc_, 1));
}

TEST_F(Rtc, ReadingTheTimeChangesNothing) {
  run_for(clock_, 1234 * kMs);
  out8(rtc_, 0, kSeconds);
  const auto before = saved(rtc_);
  EXPECT_EQ(in8(rtc_, 1), 1);
  EXPECT_EQ(saved(rtc_), before);
}

TEST(RtcCalendar, RoundTripOverCenturies) {
  for (const u8 b : {u8{0}, u8{k24Hours}, u8{kBinary}, u8{k24Hours | kBinary}}) {
    const RtcFormat format(b);
    for (i64 seconds = -3'000'000'000; seconds < 10'000'000'000; seconds += 12'345'677) {
      ASSERT_EQ(from_registers(to_registers(seconds, 0, format), format), seconds);
    }
  }
  EXPECT_EQ(weekday_of(0), 4);
  EXPECT_EQ(weekday_of(-1), 3);
}

}  // namespace
}  // namespace rondo::devices
