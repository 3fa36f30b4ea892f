// The writer's ends that nobody plans: killed at any time, and out of space.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay/checkpoint/store.h"
#include "replay/checkpoint/writer.h"
#include "tests/replay/checkpoint/fake_machine.h"
#include "tests/replay/corruption.h"

namespace rondo::replay {
namespace {

constexpr u64 kPages = 200;

void run_some(FakeMachine& machine, int step) { machine.run(step % 9 == 0 ? 150 : 12); }

TEST(CheckpointWriterKilled, WhatIsLeftIsWholeAndRight) {
  Random random(7);
  const int rounds = test::slow_tests() ? 600 : 60;
  u64 most = 0, merged = 0;
  for (int round = 0; round < rounds; ++round) {
    RecordingFolder folder;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto writer = CheckpointWriter::create(folder.path(), checkpoint_settings(1000, 4, 1));
      FakeMachine machine(kPages, 3);
      for (int step = 0;; ++step) {
        run_some(machine, step);
        writer->add(machine.snapshot(), machine.info());
      }
    }
    ::usleep(static_cast<useconds_t>(random.below(40'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);

    auto store = CheckpointStore::open(folder.path(), store_options_for_tests());
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_TRUE(store->problems().empty()) << store->problems().front();
    const std::vector<StoredCheckpoint> there = store->checkpoints();
    most = std::max<u64>(most, there.size());
    FakeMachine machine(kPages, 3);
    int step = 0;
    for (const StoredCheckpoint& checkpoint : there) {
      merged += checkpoint.number > 5 ? 1 : 0;
      while (machine.count() < checkpoint.info.moment.count) run_some(machine, step++);
      const auto loaded = store->load(checkpoint.number);
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ(loaded->info, machine.info());
      EXPECT_EQ(difference(loaded->snapshot.memory, machine.memory()), "");
    }
  }
  EXPECT_GE(most, 3u);
  EXPECT_GT(merged, 0u);
}

// In a child of its own, because the limit is the process's.
void write_with_little_space(const std::string& recording, bool* went_well) {
  constexpr rlim_t kLimit = 200'000;
  const rlimit limit{kLimit, kLimit};
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  auto writer = CheckpointWriter::create(recording, checkpoint_settings(1000, 64, 1));
  FakeMachine machine(kPages, 3);
  const auto take = [&](u64 changes) {
    machine.run(changes);
    writer->add(machine.snapshot(), machine.info());
    const bool written = static_cast<bool>(writer->finish());
    return std::pair(written, writer->take_error());
  };
  const auto small = take(10);
  const PageMap before = machine.memory();
  for (u64 page = 0; page < kPages; ++page) machine.write(page, page + 5000);
  const auto large = take(0);
  const auto still_large = take(0);
  machine.memory() = before;
  const auto small_again = take(3);
  *went_well = small.first && !small.second && !large.first && large.second && !still_large.second &&
               !small_again.first && !small_again.second && writer->statistics().failed == 2 &&
               writer->statistics().written == 2 && large.second->message.find("2000.ckpt") != std::string::npos;
}

TEST(CheckpointWriterOutOfSpace, TheCheckpointIsDroppedAndTheRestGoesOn) {
  RecordingFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool went_well = false;
    write_with_little_space(folder.path(), &went_well);
    ::_exit(went_well ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  auto store = CheckpointStore::open(folder.path(), store_options_for_tests());
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->problems().empty());
  ASSERT_EQ(store->checkpoints().size(), 2u);
  EXPECT_EQ(store->checkpoints()[1].info.moment.count, InstrCount{4000});
  EXPECT_EQ(store->checkpoints()[1].number, 2u);
  EXPECT_TRUE(store->load(2));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() + "/" + kCheckpointFolder)) {
    EXPECT_EQ(entry.path().extension(), ".ckpt");  // nothing half written is left
  }
}

}  // namespace
}  // namespace rondo::replay
