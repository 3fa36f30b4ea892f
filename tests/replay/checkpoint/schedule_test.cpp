#include "replay/checkpoint/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rondo::replay {
namespace {

std::vector<u64> values(const std::vector<InstrCount>& counts) {
  std::vector<u64> out;
  for (const InstrCount count : counts) out.push_back(count.value);
  return out;
}

// The largest distance from a Moment to what is before it, up to the newest checkpoint.
u64 widest_gap(const std::vector<InstrCount>& counts) {
  u64 widest = 0, previous = 0;
  for (const InstrCount count : counts) {
    widest = std::max(widest, count.value - previous);
    previous = count.value;
  }
  return widest;
}

TEST(CheckpointSchedule, DueAtMultiplesOfTheInterval) {
  const CheckpointSchedule schedule(100, 64);
  EXPECT_EQ(schedule.next(InstrCount{0}), InstrCount{100});
  EXPECT_EQ(schedule.next(InstrCount{99}), InstrCount{100});
  EXPECT_EQ(schedule.next(InstrCount{100}), InstrCount{200});
  EXPECT_EQ(schedule.next(InstrCount{~u64{0}}), std::nullopt);
}

TEST(CheckpointSchedule, NoneWithoutAnInterval) {
  const CheckpointSchedule schedule(0, 64);
  EXPECT_EQ(schedule.next(InstrCount{0}), std::nullopt);
  EXPECT_EQ(schedule.interval(), 0u);
}

TEST(CheckpointSchedule, EverySecondOneGoesWhenThereAreTooMany) {
  CheckpointSchedule schedule(10, 4);
  for (u64 count = 10; count <= 40; count += 10) EXPECT_TRUE(schedule.taken(InstrCount{count}).empty());
  EXPECT_EQ(values(schedule.taken(InstrCount{50})), (std::vector<u64>{10, 30}));
  EXPECT_EQ(values(schedule.retained()), (std::vector<u64>{20, 40, 50}));
  EXPECT_EQ(schedule.interval(), 20u);
  EXPECT_EQ(schedule.next(InstrCount{50}), InstrCount{60});
}

TEST(CheckpointSchedule, BoundedAndNearEveryMomentHoweverLongTheRun) {
  CheckpointSchedule schedule(7, 16);
  InstrCount now{0};
  for (int i = 0; i < 400; ++i) {
    now = *schedule.next(now);
    schedule.taken(now);
    ASSERT_LE(schedule.retained().size(), 16u);
    ASSERT_LE(widest_gap(schedule.retained()), schedule.interval());
    ASSERT_EQ(schedule.retained().back(), now);
  }
  EXPECT_GE(schedule.retained().size(), 8u);
}

TEST(CheckpointSchedule, ThoseOnDemandDoNotWidenTheGaps) {
  CheckpointSchedule schedule(1000, 8);
  InstrCount now{0};
  u64 random = 1;
  for (int i = 0; i < 3000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const InstrCount due = *schedule.next(now);
    const InstrCount wanted = now + (random >> 33) % 900 + 1;
    now = std::min(due, wanted);
    schedule.taken(now);
    ASSERT_LE(schedule.retained().size(), 8u);
    ASSERT_LE(widest_gap(schedule.retained()), schedule.interval());
  }
}

TEST(CheckpointSchedule, OnDemandAloneIsBoundedToo) {
  CheckpointSchedule schedule(0, 8);
  for (u64 count = 1; count <= 1000; ++count) {
    schedule.taken(InstrCount{count * count});
    ASSERT_LE(schedule.retained().size(), 8u);
  }
  EXPECT_EQ(schedule.next(InstrCount{0}), std::nullopt);
}

TEST(CheckpointSchedule, EndsAtTheLargestCounts) {
  CheckpointSchedule schedule(1, 2);
  const u64 top = ~u64{0};
  for (const u64 count : {top - 4, top - 3, top - 2, top - 1, top}) {
    schedule.taken(InstrCount{count});
    ASSERT_LE(schedule.retained().size(), 2u);
  }
}

}  // namespace
}  // namespace rondo::replay
