#include "devices/i8042/i8042.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

using namespace i8042;

class Keyboard : public ::testing::Test {
 protected:
  void command(u8 value) { out8(device_.command_port(), 0, value); }
  void data(u8 value) { out8(device_.data_port(), 0, value); }
  u8 data() { return in8(device_.data_port(), 0); }
  u8 status() { return in8(device_.command_port(), 0); }
  FakeMachine machine_;
  I8042 device_{machine_};
};

TEST_F(Keyboard, ResetByCommand) {
  EXPECT_EQ(status() & 0x02, 0);  // ready for input: what kernels wait for before the reset
  command(0xfe);
  EXPECT_EQ(machine_.resets, 1u);
  command(0xff);  // pulses nothing
  EXPECT_EQ(machine_.resets, 1u);
}

TEST_F(Keyboard, ResetByOutputPort) {
  command(0xd0);
  EXPECT_EQ(data(), kOutputNoReset | kOutputA20);
  command(0xd1);
  data(0x03);
  EXPECT_EQ(machine_.resets, 0u);
  command(0xd1);
  data(0x02);
  EXPECT_EQ(machine_.resets, 1u);
}

TEST_F(Keyboard, SelfTestsAndCommandByte) {
  command(0xaa);
  EXPECT_TRUE(status() & kStatusOutputFull);
  EXPECT_EQ(data(), kSelfTestPassed);
  EXPECT_FALSE(status() & kStatusOutputFull);
  command(0xab);
  EXPECT_EQ(data(), 0);
  command(0x60);
  data(0x47);
  command(0x20);
  EXPECT_EQ(data(), 0x47);
  command(0xad);
  command(0x20);
  EXPECT_EQ(data(), 0x57);
}

TEST_F(Keyboard, NothingIsPluggedIn) {
  data(0xff);  // reset keyboard
  EXPECT_TRUE(status() & kStatusTimeout);
  EXPECT_EQ(data(), kNoDevice);
  command(0xd4);
  data(0xf2);  // identify mouse
  EXPECT_EQ(status() & (kStatusAuxiliary | kStatusTimeout), kStatusAuxiliary | kStatusTimeout);
  EXPECT_EQ(data(), kNoDevice);
}

TEST_F(Keyboard, RestoredBetweenCommandAndData) {
  command(0x60);
  FakeMachine machine;
  I8042 other(machine);
  Clock a, b;
  ASSERT_TRUE(copy_state(device_, a, other, b));
  out8(other.data_port(), 0, 0x33);
  out8(other.command_port(), 0, 0x20);
  EXPECT_EQ(in8(other.data_port(), 0), 0x33);
}

}  // namespace
}  // namespace rondo::devices
