// Random walks on the self-checking guests: mode switches, faults, interrupts, debug traps; live machines.
#include <gtest/gtest.h>

#include "tests/gdb/walk.h"

namespace rondo::gdb {
namespace {

class GuestWalk : public testing::TestWithParam<const char*> {};

TEST_P(GuestWalk, APositionHasOneState) {
  BoardConfig config;
  config.memory_bytes = u64{64} << 20;
  auto kernel = Image::read(std::string(RONDO_GUESTS) + "/" + GetParam() + ".elf", "kernel");
  ASSERT_TRUE(kernel);
  config.kernel = *kernel;
  auto board = Board::create(config);
  auto plain = Board::create(config);
  ASSERT_TRUE(board && plain);
  plain.value()->machine().run({});
  WalkOptions options;
  options.last_count = plain.value()->clock().count().value;
  options.moments = 40;
  options.reach = options.last_count;
  LiveInput input(**board, {});
  TimeTravel travel((*board)->machine(), input);
  Walk walk(travel, options);
  for (const std::string& line : walk.run()) ADD_FAILURE() << line;
  EXPECT_GT(walk.hits(), 10u);

  auto fresh = Board::create(config);
  Machine& machine = fresh.value()->machine();
  for (const auto& [count, state] : walk.plain_states()) {
    if (machine.run({.instructions = InstrCount{count}, .virtual_time = {}}).reason != ExitReason::instruction_limit)
      break;
    EXPECT_EQ(machine.state_hash(), state) << count;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GuestWalk, testing::Values("long_mode", "paging64", "debug64", "protected_mode"),
                         [](const auto& guest) { return std::string(guest.param); });

}  // namespace
}  // namespace rondo::gdb
