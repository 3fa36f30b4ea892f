// The self-checking guests by both drives of the engine: the same count, the same state.
#include <gtest/gtest.h>

#include "harness/board.h"

namespace rondo {
namespace {

struct Outcome {
  RunResult result;
  u64 count = 0;
  std::string hash;
};

Outcome execute(const std::string& name, bool single_step) {
  BoardConfig config;
  config.memory_bytes = u64{64} << 20;
  auto kernel = Image::read(std::string(RONDO_GUESTS) + "/" + name + ".elf", "kernel");
  if (!kernel) {
    ADD_FAILURE() << kernel.error().message;
    return {};
  }
  config.kernel = *kernel;
  auto board = Board::create(config);
  if (!board) {
    ADD_FAILURE() << board.error().message;
    return {};
  }
  Machine& machine = (*board)->machine();
  RunLimits limits;
  limits.instructions = InstrCount{100'000'000};
  limits.single_step = single_step;
  Outcome outcome;
  outcome.result = machine.run(limits);
  outcome.count = machine.clock().count().value;
  outcome.hash = machine.state_hash();
  return outcome;
}

class Guests : public testing::TestWithParam<const char*> {};

TEST_P(Guests, StepsAndRunsAlike) {
  const Outcome run = execute(GetParam(), false);
  EXPECT_EQ(run.result.reason, ExitReason::debug_exit);
  EXPECT_EQ(run.result.debug_exit_code, 1u);  // the guest wrote 0: nothing failed
  const Outcome stepped = execute(GetParam(), true);
  EXPECT_EQ(stepped.result.reason, run.result.reason);
  EXPECT_EQ(stepped.count, run.count);
  EXPECT_EQ(stepped.hash, run.hash);
}

INSTANTIATE_TEST_SUITE_P(All, Guests,
                         testing::Values("long_mode", "paging64", "debug64", "protected_mode", "kvm_devices",
                                         "kvm_time"),
                         [](const auto& guest) { return std::string(guest.param); });

}  // namespace
}  // namespace rondo
