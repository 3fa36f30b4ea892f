#include "devices/debug_exit/debug_exit.h"

#include <gtest/gtest.h>

#include "devices/post_code/post_code.h"
#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

TEST(DebugExit, AnyWidthRequestsTheExit) {
  FakeMachine machine;
  DebugExit device(machine);
  device.bus_write(0, 1, 0x1ff);
  device.bus_write(0, 2, 0x1234);
  device.bus_write(0, 4, 0x89abcdef);
  EXPECT_EQ(machine.debug_exits, (std::vector<u32>{0xff, 0x1234, 0x89abcdef}));
  EXPECT_EQ(device.bus_read(0, 4), 0u);
  DebugExit other(machine);
  Clock a, b;
  EXPECT_TRUE(copy_state(device, a, other, b));
}

TEST(PostCode, ReadsBackAndIsSaved) {
  PostCode device;
  out8(device, 0, 0xab);
  EXPECT_EQ(in8(device, 0), 0xab);
  PostCode other;
  Clock a, b;
  ASSERT_TRUE(copy_state(device, a, other, b));
  EXPECT_EQ(other.code(), 0xab);
}

}  // namespace
}  // namespace rondo::devices
