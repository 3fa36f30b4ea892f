#include "devices/pit8254/pit8254.h"

#include <gtest/gtest.h>

#include "devices/wiring/ticks.h"
#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

class Pit : public ::testing::Test {
 protected:
  Pit() { irq_.rises = 0; }
  void program(unsigned channel, unsigned mode, unsigned count, bool bcd = false) {
    out8(pit_.timer_ports(), 3, static_cast<u8>(channel << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)));
    out8(pit_.timer_ports(), channel, static_cast<u8>(count));
    out8(pit_.timer_ports(), channel, static_cast<u8>(count >> 8));
  }
  u16 read(unsigned channel) {
    const u8 low = in8(pit_.timer_ports(), channel);
    return static_cast<u16>(low | in8(pit_.timer_ports(), channel) << 8);
  }
  u8 status(unsigned channel) {
    out8(pit_.timer_ports(), 3, static_cast<u8>(0xe0 | 2u << channel));
    return in8(pit_.timer_ports(), channel);
  }
  // Goes to the n-th tick after the one at which the last count was written, where counting began one tick later.
  void to_tick(u64 tick) { run_until(clock_, VirtualNs{time_of_tick(start_ + tick, pit::kHz)}); }
  void mark() { start_ = ticks_at(clock_.now().value, pit::kHz) + 1; }
  void gate2(bool high) { out8(pit_.system_port(), 0, high ? 1 : 0); }
  bool out2() { return in8(pit_.system_port(), 0) & pit::kOut2; }

  Clock clock_;
  FakeLine irq_;
  Pit8254 pit_{clock_, irq_};
  u64 start_ = 0;
};

TEST(Ticks, FirstNanosecondOfATick) {
  for (const u64 tick : {u64{0}, u64{1}, u64{2}, u64{1193182}, u64{123456789012}}) {
    const u64 ns = time_of_tick(tick, pit::kHz);
    EXPECT_EQ(ticks_at(ns, pit::kHz), tick);
    if (ns > 0) {
      EXPECT_EQ(ticks_at(ns - 1, pit::kHz), tick - 1);
    }
  }
}

TEST_F(Pit, Mode2InterruptsPeriodically) {
  program(0, 2, 1000);
  mark();
  to_tick(999);
  EXPECT_EQ(irq_.rises, 0u);
  to_tick(1000);
  EXPECT_EQ(irq_.rises, 1u);
  to_tick(10'000);
  EXPECT_EQ(irq_.rises, 10u);
  to_tick(10'001);
  EXPECT_EQ(read(0), 999);
}

TEST_F(Pit, Mode0InterruptsOnce) {
  program(0, 0, 500);
  mark();
  EXPECT_FALSE(irq_.level);
  to_tick(100);
  EXPECT_EQ(read(0), 400);
  to_tick(499);
  EXPECT_FALSE(irq_.level);
  to_tick(500);
  EXPECT_TRUE(irq_.level);
  to_tick(1'000'000);
  EXPECT_EQ(irq_.rises, 1u);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
  to_tick(65536 * 20 + 501);
  EXPECT_EQ(read(0), 0xffff);  // goes on counting
}

TEST_F(Pit, Mode4InterruptsAfterTheStrobe) {
  program(0, 4, 100);
  mark();
  EXPECT_TRUE(status(0) & pit::kStatusOut);
  to_tick(100);
  EXPECT_FALSE(status(0) & pit::kStatusOut);
  EXPECT_EQ(irq_.rises, 0u);
  to_tick(101);
  EXPECT_TRUE(status(0) & pit::kStatusOut);
  EXPECT_EQ(irq_.rises, 1u);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Pit, Mode3IsASquareWave) {
  gate2(true);
  program(2, 3, 101);
  mark();
  for (u64 tick = 0; tick < 303; ++tick) {
    to_tick(tick);
    EXPECT_EQ(out2(), tick % 101 < 51) << tick;
  }
  to_tick(404);
  EXPECT_EQ(read(2), 100);
  to_tick(405);
  EXPECT_EQ(read(2), 98);
  to_tick(404 + 51);
  EXPECT_EQ(read(2), 100);
}

TEST_F(Pit, ANewCountInMode2WaitsForTheEndOfThePeriod) {
  program(0, 2, 1000);
  mark();
  to_tick(300);
  out8(pit_.timer_ports(), 0, 0xc8);
  out8(pit_.timer_ports(), 0, 0x00);  // 200
  EXPECT_TRUE(status(0) & pit::kStatusNullCount);
  EXPECT_EQ(read(0), 700);
  to_tick(999);
  EXPECT_EQ(irq_.rises, 0u);
  to_tick(1000);
  EXPECT_EQ(irq_.rises, 1u);
  EXPECT_FALSE(status(0) & pit::kStatusNullCount);
  to_tick(1200);
  EXPECT_EQ(irq_.rises, 2u);
  to_tick(1250);
  EXPECT_EQ(read(0), 150);
}

// The calibration loop that kernels run on counter 2 (mode 0, gate by port 0x61).
TEST_F(Pit, Counter2MeasuresTime) {
  gate2(true);
  program(2, 0, 11932);
  mark();
  EXPECT_FALSE(out2());
  to_tick(11931);
  EXPECT_FALSE(out2());
  to_tick(11932);
  EXPECT_TRUE(out2());
}

TEST_F(Pit, GateHoldsMode0AndRestartsMode2) {
  program(2, 0, 1000);
  gate2(true);
  mark();
  start_ -= 1;  // a gate takes effect at once
  to_tick(100);
  gate2(false);
  to_tick(5000);
  EXPECT_EQ(read(2), 900);
  gate2(true);
  to_tick(5900);
  EXPECT_TRUE(out2());

  gate2(false);
  program(2, 2, 100);
  EXPECT_TRUE(out2());
  gate2(true);
  mark();
  to_tick(99);
  EXPECT_FALSE(out2());
  gate2(false);
  EXPECT_TRUE(out2());
}

TEST_F(Pit, Mode1AndMode5AreTriggeredByTheGate) {
  program(2, 1, 50);
  EXPECT_TRUE(out2());
  gate2(true);
  mark();
  to_tick(0);
  EXPECT_FALSE(out2());
  to_tick(49);
  EXPECT_FALSE(out2());
  to_tick(50);
  EXPECT_TRUE(out2());
  gate2(false);
  program(2, 5, 50);
  gate2(true);
  mark();
  to_tick(49);
  EXPECT_TRUE(out2());
  to_tick(50);
  EXPECT_FALSE(out2());
  to_tick(51);
  EXPECT_TRUE(out2());
}

TEST_F(Pit, LatchesHoldUntilRead) {
  program(0, 2, 0x1234);
  mark();
  to_tick(0x34);
  out8(pit_.timer_ports(), 3, 0x00);
  to_tick(0x100);
  EXPECT_EQ(read(0), 0x1200);
  EXPECT_EQ(read(0), 0x1134);
  // Read-back of status and count together: the status comes first.
  out8(pit_.timer_ports(), 3, 0xc2);
  to_tick(0x200);
  EXPECT_EQ(in8(pit_.timer_ports(), 0), 0xb4);  // OUT high, low/high access, mode 2
  EXPECT_EQ(read(0), 0x1134);
}

TEST_F(Pit, BcdAndByteAccess) {
  program(0, 2, 0x1000, true);
  mark();
  to_tick(1);
  EXPECT_EQ(read(0), 0x0999);
  out8(pit_.timer_ports(), 3, 0x14);  // counter 0, low byte, mode 2
  out8(pit_.timer_ports(), 0, 100);
  mark();
  to_tick(40);
  EXPECT_EQ(in8(pit_.timer_ports(), 0), 60);
  EXPECT_EQ(in8(pit_.timer_ports(), 0), 60);
  out8(pit_.timer_ports(), 3, 0x24);  // high byte only
  out8(pit_.timer_ports(), 0, 2);
  mark();
  to_tick(256);
  EXPECT_EQ(in8(pit_.timer_ports(), 0), 1);
}

TEST_F(Pit, ZeroCountsAsTheLargest) {
  program(0, 2, 0);
  mark();
  to_tick(65535);
  EXPECT_EQ(irq_.rises, 0u);
  to_tick(65536);
  EXPECT_EQ(irq_.rises, 1u);
}

TEST_F(Pit, RestoredInTheMiddleOfAPeriod) {
  program(0, 2, 3000);
  gate2(true);
  program(2, 3, 777);
  mark();
  to_tick(1000);
  out8(pit_.timer_ports(), 0, 0x10);
  out8(pit_.timer_ports(), 0, 0x01);  // takes over at the end of the period
  in8(pit_.timer_ports(), 2);         // between the two bytes of a read
  Clock clock;
  FakeLine irq;
  Pit8254 other(clock, irq);
  ASSERT_TRUE(copy_state(pit_, clock_, other, clock));
  irq.rises = irq_.rises = 0;
  run_for(clock, 50'000'000);
  run_for(clock_, 50'000'000);
  EXPECT_EQ(irq.rises, irq_.rises);
  EXPECT_GT(irq.rises, 100u);
  EXPECT_EQ(saved(other), saved(pit_));
  EXPECT_EQ(in8(other.timer_ports(), 2), in8(pit_.timer_ports(), 2));
}

TEST_F(Pit, LookingChangesNothing) {
  program(0, 2, 3000);
  const auto before = saved(pit_);
  run_for(clock_, 12'345'678);
  EXPECT_EQ(saved(pit_), before);
}

}  // namespace
}  // namespace rondo::devices
