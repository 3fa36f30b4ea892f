#include "devices/ioapic/ioapic.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

struct FakeAgent final : ApicAgent {
  bool is_destination(u32 destination, bool logical) const override { return !logical && destination == id; }
  u8 arbitration_priority() const override { return priority; }
  void receive(const ApicMessage& message) override { messages.push_back(message); }
  u32 id = 0;
  u8 priority = 0;
  std::vector<ApicMessage> messages;
};

class IoApicTest : public ::testing::Test {
 protected:
  IoApicTest() { bus_.attach(agent_); }
  u32 get(u8 index) {
    ioapic_.bus_write(0, 4, index);
    return static_cast<u32>(ioapic_.bus_read(0x10, 4));
  }
  void set(u8 index, u32 value) {
    ioapic_.bus_write(0, 4, index);
    ioapic_.bus_write(0x10, 4, value);
  }
  void entry(unsigned pin, u64 value) {
    set(static_cast<u8>(0x11 + 2 * pin), static_cast<u32>(value >> 32));
    set(static_cast<u8>(0x10 + 2 * pin), static_cast<u32>(value));
  }
  u32 low(unsigned pin) { return get(static_cast<u8>(0x10 + 2 * pin)); }

  ApicBus bus_;
  FakeAgent agent_;
  IoApic ioapic_{bus_, {.id = 3}};
};

TEST_F(IoApicTest, Registers) {
  EXPECT_EQ(get(0), 3u << 24);
  EXPECT_EQ(get(1), 0x00170020u);
  EXPECT_EQ(low(0), 0x10000u);
  EXPECT_EQ(low(23), 0x10000u);
  set(0, 0xff000000);
  EXPECT_EQ(get(0), 0x0f000000u);
  entry(5, ~u64{0});
  EXPECT_EQ(low(5), 0x1afffu);
  EXPECT_EQ(get(0x11 + 10), 0xff000000u);
  EXPECT_EQ(get(0x40), 0u);  // beyond the table
  EXPECT_EQ(ioapic_.bus_read(0x10, 1), 0u);
  EXPECT_EQ(ioapic_.ignored_accesses(), 2u);
}

TEST_F(IoApicTest, EdgesAreSentOnceAndLostWhileMasked) {
  ioapic_.set_input(4, true);
  entry(4, 0x34);
  EXPECT_TRUE(agent_.messages.empty());
  ioapic_.set_input(4, false);
  ioapic_.set_input(4, true);
  ioapic_.set_input(4, true);
  ASSERT_EQ(agent_.messages.size(), 1u);
  EXPECT_EQ(agent_.messages[0].vector, 0x34);
  EXPECT_FALSE(agent_.messages[0].level);
  EXPECT_FALSE(low(4) & 0x4000);
}

TEST_F(IoApicTest, LevelWaitsForTheEoi) {
  entry(9, 0x8051);
  ioapic_.set_input(9, true);
  ASSERT_EQ(agent_.messages.size(), 1u);
  EXPECT_TRUE(agent_.messages[0].level);
  EXPECT_TRUE(low(9) & 0x4000);
  ioapic_.set_input(9, false);
  ioapic_.set_input(9, true);
  EXPECT_EQ(agent_.messages.size(), 1u);
  ioapic_.end_of_interrupt(0x52);  // another vector
  EXPECT_EQ(agent_.messages.size(), 1u);
  ioapic_.end_of_interrupt(0x51);
  EXPECT_EQ(agent_.messages.size(), 2u);
  ioapic_.set_input(9, false);
  ioapic_.bus_write(0x40, 4, 0x51);  // the EOI register
  EXPECT_EQ(agent_.messages.size(), 2u);
  EXPECT_FALSE(low(9) & 0x4000);
}

TEST_F(IoApicTest, UnmaskingAnAssertedLevelPinSends) {
  entry(9, 0x18051);
  ioapic_.set_input(9, true);
  EXPECT_TRUE(agent_.messages.empty());
  entry(9, 0x8051);
  EXPECT_EQ(agent_.messages.size(), 1u);
  entry(9, 0x18051);
  EXPECT_TRUE(low(9) & 0x4000);
  entry(9, 0x10051);  // edge: clears the remote IRR
  entry(9, 0x8051);
  EXPECT_EQ(agent_.messages.size(), 2u);
}

TEST_F(IoApicTest, DestinationsAndModes) {
  FakeAgent other;
  other.id = 1;
  bus_.attach(other);
  entry(1, u64{1} << 56 | 0x400);  // NMI to APIC 1
  ioapic_.set_input(1, true);
  EXPECT_TRUE(agent_.messages.empty());
  ASSERT_EQ(other.messages.size(), 1u);
  EXPECT_EQ(other.messages[0].mode, DeliveryMode::nmi);
}

TEST(ApicBusTest, LowestPriorityPicksOne) {
  ApicBus bus;
  FakeAgent a, b;
  a.priority = 0x40;
  b.priority = 0x20;
  bus.attach(a);
  bus.attach(b);
  EXPECT_TRUE(bus.send({.vector = 0x50, .mode = DeliveryMode::lowest_priority}));
  EXPECT_TRUE(a.messages.empty());
  EXPECT_EQ(b.messages.size(), 1u);
  EXPECT_FALSE(bus.send({.destination = 9}));
}

TEST_F(IoApicTest, RestoredWithAnInterruptInService) {
  entry(9, 0x8051);
  ioapic_.set_input(9, true);
  ApicBus bus;
  FakeAgent agent;
  bus.attach(agent);
  IoApic other(bus);
  Clock a, b;
  ASSERT_TRUE(copy_state(ioapic_, a, other, b));
  EXPECT_TRUE(agent.messages.empty());  // nothing is sent twice
  other.end_of_interrupt(0x51);
  EXPECT_EQ(agent.messages.size(), 1u);
}

}  // namespace
}  // namespace rondo::devices
