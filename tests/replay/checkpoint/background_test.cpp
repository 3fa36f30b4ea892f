#include "replay/checkpoint/background.h"

#include <gtest/gtest.h>

#include <future>

namespace rondo::replay {
namespace {

TEST(BackgroundQueue, DoesEverythingInOrder) {
  std::vector<int> done;
  {
    BackgroundQueue<int> queue(2, [&](int job) { done.push_back(job); });
    for (int i = 0; i < 100; ++i) queue.push(i);
    queue.drain();
    EXPECT_EQ(done.size(), 100u);
    queue.push(100);
  }
  ASSERT_EQ(done.size(), 101u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(BackgroundQueue, ThePusherWaitsWhenTooMuchIsWaiting) {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::promise<void> started;
  std::atomic<int> done{0};
  BackgroundQueue<int> queue(2, [&](int job) {
    if (job == 0) {
      started.set_value();
      opened.wait();
    }
    ++done;
  });
  EXPECT_FALSE(queue.push(0));
  started.get_future().wait();
  EXPECT_FALSE(queue.push(1));
  EXPECT_FALSE(queue.push(2));
  auto third = std::async(std::launch::async, [&] { return queue.push(3); });
  EXPECT_EQ(third.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(done, 0);
  gate.set_value();
  EXPECT_TRUE(third.get());
  queue.drain();
  EXPECT_EQ(done, 4);
}

TEST(ParallelFor, EveryPieceOnce) {
  for (const unsigned threads : {0u, 1u, 2u, 5u}) {
    std::vector<std::atomic<int>> pieces(1000);
    parallel_for(pieces.size(), threads, [&] { return [&](u64 piece) { ++pieces[piece]; }; });
    for (const std::atomic<int>& times : pieces) EXPECT_EQ(times, 1);
  }
  parallel_for(0, 3, [] { return [](u64) { FAIL(); }; });
}

}  // namespace
}  // namespace rondo::replay
