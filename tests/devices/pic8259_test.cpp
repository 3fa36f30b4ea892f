#include "devices/pic8259/pic8259.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

class Pic : public ::testing::Test {
 protected:
  void initialize(u8 master_icw4 = 1, u8 slave_icw4 = 1) {
    const u8 master[] = {0x20, 0x04, master_icw4}, slave[] = {0x28, 0x02, slave_icw4};
    out8(pic_.master_ports(), 0, 0x11);
    out8(pic_.slave_ports(), 0, 0x11);
    for (unsigned i = 0; i < 3; ++i) {
      out8(pic_.master_ports(), 1, master[i]);
      out8(pic_.slave_ports(), 1, slave[i]);
    }
  }
  void pulse(unsigned irq) {
    pic_.set_input(irq, false);
    pic_.set_input(irq, true);
  }
  void eoi_master() { out8(pic_.master_ports(), 0, 0x20); }
  void eoi_slave() { out8(pic_.slave_ports(), 0, 0x20); }
  u8 master_isr() {
    out8(pic_.master_ports(), 0, 0x0b);
    return in8(pic_.master_ports(), 0);
  }
  u8 master_irr() {
    out8(pic_.master_ports(), 0, 0x0a);
    return in8(pic_.master_ports(), 0);
  }
  FakeLine intr_;
  Pic8259 pic_{intr_};
};

TEST_F(Pic, SilentUntilInitialized) {
  pulse(1);
  EXPECT_FALSE(intr_.level);
  initialize();
  EXPECT_FALSE(intr_.level);  // ICW1 forgets edges
}

TEST_F(Pic, LinuxProbeReadsTheMaskBack) {
  out8(pic_.slave_ports(), 1, 0xff);
  out8(pic_.master_ports(), 1, 0xfb);
  EXPECT_EQ(in8(pic_.master_ports(), 1), 0xfb);
}

TEST_F(Pic, EdgeRequestAcknowledgeAndEoi) {
  initialize();
  pulse(4);
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(master_irr(), 0x10);
  EXPECT_EQ(pic_.acknowledge(), 0x24);
  EXPECT_FALSE(intr_.level);
  EXPECT_EQ(master_irr(), 0);
  EXPECT_EQ(master_isr(), 0x10);
  eoi_master();
  EXPECT_EQ(master_isr(), 0);
  EXPECT_FALSE(intr_.level);  // the line is still high, but that is no edge
}

TEST_F(Pic, PriorityAndNesting) {
  initialize();
  pulse(5);
  EXPECT_EQ(pic_.acknowledge(), 0x25);
  pulse(6);
  EXPECT_FALSE(intr_.level);
  pulse(1);
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x21);
  EXPECT_EQ(master_isr(), 0x22);
  eoi_master();
  EXPECT_EQ(master_isr(), 0x20);
  EXPECT_FALSE(intr_.level);
  eoi_master();
  EXPECT_EQ(pic_.acknowledge(), 0x26);
}

TEST_F(Pic, MaskHoldsARequestBack) {
  initialize();
  out8(pic_.master_ports(), 1, 0x08);
  pulse(3);
  EXPECT_FALSE(intr_.level);
  out8(pic_.master_ports(), 1, 0);
  EXPECT_TRUE(intr_.level);
}

TEST_F(Pic, SlaveThroughTheCascade) {
  initialize();
  pulse(8);
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x28);
  EXPECT_EQ(master_isr(), 0x04);
  pulse(12);
  EXPECT_FALSE(intr_.level);
  eoi_slave();
  eoi_master();
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x2c);
}

TEST_F(Pic, SpuriousMasterAndSlave) {
  initialize();
  pic_.set_input(3, true);
  pic_.set_input(3, false);  // withdrawn before the acknowledge
  EXPECT_EQ(pic_.acknowledge(), 0x27);
  EXPECT_EQ(master_isr(), 0);
  // A poll of the slave takes the request from under the master's level-triggered eyes only if it is still there: none
  // is left.
  pulse(10);
  out8(pic_.slave_ports(), 0, 0x0c);
  EXPECT_EQ(in8(pic_.slave_ports(), 0), 0x82);
  EXPECT_FALSE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x27);
}

TEST_F(Pic, LevelTriggeredInput) {
  out8(pic_.elcr_ports(), 0, 0xff);
  out8(pic_.elcr_ports(), 1, 0xff);
  EXPECT_EQ(in8(pic_.elcr_ports(), 0), 0xf8);
  EXPECT_EQ(in8(pic_.elcr_ports(), 1), 0xde);
  initialize();
  pic_.set_input(5, true);
  EXPECT_EQ(pic_.acknowledge(), 0x25);
  EXPECT_FALSE(intr_.level);
  eoi_master();
  EXPECT_TRUE(intr_.level);  // still asserted
  pic_.set_input(5, false);
  EXPECT_FALSE(intr_.level);
}

TEST_F(Pic, AutomaticEoiWithRotation) {
  initialize(3);
  out8(pic_.master_ports(), 0, 0x80);  // rotate in automatic EOI mode
  pulse(3);
  EXPECT_EQ(pic_.acknowledge(), 0x23);
  EXPECT_EQ(master_isr(), 0);
  pulse(3);
  pulse(4);
  EXPECT_EQ(pic_.acknowledge(), 0x24);  // 3 has the lowest priority now
}

TEST_F(Pic, SpecificEoiSetPriorityAndRotation) {
  initialize();
  pulse(2 + 1);
  pic_.acknowledge();
  out8(pic_.master_ports(), 0, 0x60 | 3);
  EXPECT_EQ(master_isr(), 0);
  out8(pic_.master_ports(), 0, 0xc0 | 4);  // 5 is the highest now
  pulse(0);
  pulse(5);
  EXPECT_EQ(pic_.acknowledge(), 0x25);
  out8(pic_.master_ports(), 0, 0xa0);  // rotate on non-specific EOI: 5 becomes the lowest
  pulse(5);
  pulse(6);
  EXPECT_EQ(pic_.acknowledge(), 0x26);
}

TEST_F(Pic, SpecialMaskModeLetsLowerLevelsIn) {
  initialize();
  pulse(1);
  pic_.acknowledge();
  pulse(6);
  EXPECT_FALSE(intr_.level);
  out8(pic_.master_ports(), 0, 0x68);
  out8(pic_.master_ports(), 1, 0x02);
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x26);
  eoi_master();  // ends 6, not the masked 1
  EXPECT_EQ(master_isr(), 0x02);
}

TEST_F(Pic, SpecialFullyNestedMode) {
  initialize(0x11);
  pulse(12);
  EXPECT_EQ(pic_.acknowledge(), 0x2c);
  pulse(8);
  EXPECT_TRUE(intr_.level);
  EXPECT_EQ(pic_.acknowledge(), 0x28);
}

TEST_F(Pic, PollMode) {
  initialize();
  out8(pic_.master_ports(), 0, 0x0c);
  EXPECT_EQ(in8(pic_.master_ports(), 0), 0);
  pulse(4);
  out8(pic_.master_ports(), 0, 0x0c);
  EXPECT_EQ(in8(pic_.master_ports(), 0), 0x84);
  EXPECT_EQ(master_isr(), 0x10);
}

TEST_F(Pic, SingleModeWithoutIcw4) {
  out8(pic_.master_ports(), 0, 0x12);
  out8(pic_.master_ports(), 1, 0x40);
  pulse(0);
  EXPECT_EQ(pic_.acknowledge(), 0x40);
}

TEST_F(Pic, RestoredWithRequestsInServiceAndPending) {
  initialize();
  pulse(9);
  pulse(5);
  pic_.acknowledge();
  pulse(0);
  FakeLine intr;
  Pic8259 other(intr);
  Clock a, b;
  ASSERT_TRUE(copy_state(pic_, a, other, b));
  // IRQ9 (by the cascade) is in service, IRQ0 waits, IRQ5 is blocked.
  for (Pic8259* pic : {&pic_, &other}) {
    EXPECT_EQ(pic->acknowledge(), 0x20);
    for (int i = 0; i < 2; ++i) out8(pic->master_ports(), 0, 0x20);
    EXPECT_EQ(pic->acknowledge(), 0x25);
  }
  EXPECT_EQ(saved(other), saved(pic_));
}

}  // namespace
}  // namespace rondo::devices
