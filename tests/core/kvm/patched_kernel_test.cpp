// Debian's kernel, patched, whose code runs on KVM at several stages of its boot and in software in between: the
// recording replays in software to the same state. In this way hosts that emulate kernel code get beyond its beginning.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "harness/kvm/plan.h"
#include "harness/recordings/playback.h"
#include "harness/recordings/start.h"
#include "replay/recorder.h"
#include "tests/slow.h"

namespace rondo {
namespace {

// In synchronous events.
struct Stages {
  u64 first, every, last;
  u64 length;  // on KVM, each
};

class PatchedKernel : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("RONDO_TEST_KERNEL");
    if (!path || !*path) GTEST_SKIP() << "RONDO_TEST_KERNEL names no kernel";
    auto plan = plan_kvm(KvmCare::all_on_kvm);
    if (!plan) GTEST_SKIP() << plan.error().message;
    auto kernel = Image::read(path, "kernel");
    ASSERT_TRUE(kernel) << kernel.error().message;
    config_.console = &console_;
    config_.command_line += plan->kernel_parameters;
    config_.find_patches = plan->find_patches;
    config_.kvm = plan->settings;
    config_.kvm.kicker = &kicker_;
    config_.time_source = &time_;
    config_.kernel = *kernel;
    std::string folder = testing::TempDir() + "rondo-patched-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void record(const Stages& stages) {
    auto made = Board::create(config_);
    ASSERT_TRUE(made) << made.error().message;
    Board& board = **made;
    Machine& machine = board.machine();
    BoardConfig described = config_;
    described.engine = EngineKind::kvm;  // time is sampled
    auto writer = recordings::start_recording(directory(), board, described, {.hash_interval = 500}, {});
    ASSERT_TRUE(writer) << writer.error().message;
    PollingDoor live(64, [](auto) { return true; });
    replay::Recorder recorder(machine, board, live, console_, std::move(*writer));
    recorder.sample_from(time_);
    machine.clock().use_samples(&recorder);
    for (u64 at = stages.first; at <= stages.last; at += stages.every) {
      RunLimits limits;
      limits.instructions = InstrCount{at};
      ASSERT_TRUE(board.use_engine(EngineKind::software));
      if (machine.run(limits, &recorder).reason != ExitReason::instruction_limit) break;
      const Status switched = board.use_engine(EngineKind::kvm);
      ASSERT_TRUE(switched) << switched.error().message;
      limits.instructions = InstrCount{at + stages.length};
      limits.virtual_time = machine.clock().now() + 3'000'000'000;  // some stretches have few events
      const RunResult result = machine.run(limits, &recorder);
      ASSERT_NE(result.reason, ExitReason::host_failure) << machine.engine().failure();
      on_kvm_ += machine.clock().count().value - at;
      if (result.reason != ExitReason::instruction_limit && result.reason != ExitReason::time_limit) break;
    }
    state_ = machine.state_hash();
    ASSERT_TRUE(recorder.finish("stopped", std::nullopt));
  }
  std::string directory() const { return folder_ + "/r"; }

  HostTimeSource time_;
  HostKicker kicker_;
  replay::ConsoleDigest console_{nullptr};
  BoardConfig config_;
  std::string folder_, state_;
  u64 on_kvm_ = 0;  // events
};

TEST_F(PatchedKernel, RunsOnKvmInStagesAndReplays) {
  record(slow_tests() ? Stages{500, 1'500, 40'000, 400} : Stages{2'000, 2'000, 6'000, 200});
  if (HasFatalFailure()) return;
  EXPECT_GT(on_kvm_, 0u);
  auto playback = recordings::Playback::open(directory(), nullptr);
  ASSERT_TRUE(playback) << playback.error().message;
  const auto end = (*playback)->seek({});
  ASSERT_TRUE(end) << end.error().message;
  const replay::Player& player = (*playback)->player();
  EXPECT_EQ(*end, replay::PlayEnd::complete) << (player.divergence() ? player.divergence()->what : "");
  EXPECT_EQ((*playback)->machine().state_hash(), state_);
  RecordProperty("events_on_kvm", static_cast<int>(on_kvm_));
}

// The same stretches without it: there are time stamps in them, and the replay names the first.
TEST_F(PatchedKernel, UnpatchedTimeStampsAreNamed) {
  config_.find_patches.time_stamps = false;
  record({2'000, 2'000, 6'000, 200});
  if (HasFatalFailure()) return;
  auto playback = recordings::Playback::open(directory(), nullptr);
  ASSERT_TRUE(playback) << playback.error().message;
  ASSERT_EQ((*playback)->seek({}).value(), replay::PlayEnd::diverged);
  EXPECT_NE((*playback)->player().divergence()->what.find("reads the time stamp counter"), std::string::npos)
      << (*playback)->player().divergence()->what;
}

}  // namespace
}  // namespace rondo
