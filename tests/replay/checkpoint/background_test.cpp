#include "replay/checkpoint/background.h"

#include <gtest/gtest.h>

#include <future>

namespace rondo::replay {
namespace {

TEST(BackgroundQueue, DoesEverythingInOrder) {
  std::vector<int> done;
  {
    BackgroundQueue queue(2);
    for (int i = 0; i < 100; ++i) queue.push([&done, i] { done.push_back(i); });
    queue.drain();
    EXPECT_EQ(done.size(), 100u);
    queue.push([&done] { done.push_back(100); });
  }
  ASSERT_EQ(done.size(), 101u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(BackgroundQueue, ThePusherWaitsWhenTooMuchIsWaiting) {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::promise<void> started;
  std::atomic<int> done{0};
  BackgroundQueue queue(2);
  const auto count = [&done] { ++done; };
  EXPECT_FALSE(queue.push([&] {
    started.set_value();
    opened.wait();
    ++done;
  }));
  started.get_future().wait();
  EXPECT_FALSE(queue.push(count));
  EXPECT_FALSE(queue.push(count));
  auto third = std::async(std::launch::async, [&] { return queue.push(count); });
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
