#include "devices/acpi_pm/acpi_pm.h"

#include <gtest/gtest.h>

#include "devices/wiring/ticks.h"
#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

using namespace acpi;

class Pm : public ::testing::Test {
 protected:
  u64 get(u64 reg, unsigned size = 2) { return pm_.bus_read(reg, size); }
  void set(u64 reg, u64 value) { pm_.bus_write(reg, 2, value); }
  Clock clock_;
  FakeLine sci_;
  FakeMachine machine_;
  AcpiPm pm_{clock_, sci_, machine_};
};

TEST_F(Pm, TimerCountsAt3579545Hz) {
  EXPECT_EQ(get(kPmTimer, 4), 0u);
  run_for(clock_, 1'000'000'000);
  EXPECT_EQ(get(kPmTimer, 4), 3579545u);
  pm_.bus_write(kPmTimer, 4, 0);  // read-only
  EXPECT_EQ(get(kPmTimer, 4), 3579545u);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Pm, TimerOverflowEvent) {
  const u64 half = u64{1} << 31;
  set(kPm1Enable, kTimerEvent);
  EXPECT_EQ(clock_.next_due(), VirtualNs{time_of_tick(half, kTimerHz)});
  run_until(clock_, VirtualNs{time_of_tick(half, kTimerHz)});
  EXPECT_TRUE(sci_.level);
  EXPECT_EQ(get(kPm1Status), kTimerEvent);
  set(kPm1Status, kTimerEvent);
  EXPECT_FALSE(sci_.level);
  EXPECT_EQ(get(kPm1Status), 0u);
  run_until(clock_, VirtualNs{time_of_tick(2 * half, kTimerHz)});
  EXPECT_TRUE(sci_.level);
  EXPECT_EQ(get(kPmTimer, 4), 0u);
}

TEST_F(Pm, PowerButton) {
  pm_.press_power_button();
  EXPECT_FALSE(sci_.level);
  set(kPm1Enable, 0xffff);
  EXPECT_EQ(get(kPm1Enable), kEnableMask);
  EXPECT_TRUE(sci_.level);
  set(kPm1Status, kTimerEvent);
  EXPECT_TRUE(sci_.level);
  set(kPm1Status, kPowerButton);
  EXPECT_FALSE(sci_.level);
}

TEST_F(Pm, SleepStateFivePowersOff) {
  EXPECT_EQ(get(kPm1Control), kSciEnable);
  set(kPm1Control, 1 << kSleepTypeShift | kSleepEnable);  // another state
  EXPECT_EQ(machine_.power_offs, 0u);
  set(kPm1Control, kSleepTypeS5 << kSleepTypeShift);
  EXPECT_EQ(machine_.power_offs, 0u);
  EXPECT_EQ(get(kPm1Control), kSciEnable | kSleepTypeS5 << kSleepTypeShift);
  set(kPm1Control, kSleepTypeS5 << kSleepTypeShift | kSleepEnable);
  EXPECT_EQ(machine_.power_offs, 1u);
  EXPECT_EQ(get(kPm1Control) & kSleepEnable, 0u);
}

TEST_F(Pm, RestoredWithAnOverflowPending) {
  set(kPm1Enable, kTimerEvent);
  run_for(clock_, 590'000'000'000);
  Clock clock;
  FakeLine sci;
  AcpiPm other(clock, sci, machine_);
  ASSERT_TRUE(copy_state(pm_, clock_, other, clock));
  run_for(clock, 20'000'000'000);
  run_for(clock_, 20'000'000'000);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(saved(other), saved(pm_));
}

}  // namespace
}  // namespace rondo::devices
