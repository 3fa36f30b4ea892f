#include "core/time/clock.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

// A time source whose events are 100 ns apart, and nothing else.
struct Steady final : TimeSource {
  VirtualNs at_event(VirtualNs now, bool joined) override { return joined ? now : now + 100; }
  VirtualNs at_kick(VirtualNs now) override { return now + 1000; }
  bool is_late(VirtualNs now, VirtualNs due) const override { return now >= due; }
  bool is_waited_for() const override { return waited_for; }
  bool waited_for = false;
};

TEST(Clock, CountsInstructionsAndTimeFollows) {
  Clock clock;
  clock.set_count(InstrCount{500});
  clock.begin_event(InstrCount{600});
  EXPECT_EQ(clock.now(), VirtualNs{600 * kNsPerInstruction});
  clock.skip_to(VirtualNs{10'000});
  EXPECT_EQ(clock.count(), InstrCount{600});
  clock.set_count(InstrCount{610});
  EXPECT_EQ(clock.now(), VirtualNs{10'000 + 10 * kNsPerInstruction});
  EXPECT_EQ(clock.instructions(), InstrCount{610});
}

TEST(Clock, WithSamplesCountsEventsAndNotesInstructions) {
  Clock clock;
  Steady source;
  clock.use_samples(&source);
  clock.begin_event(InstrCount{7000});
  EXPECT_EQ(clock.count(), InstrCount{1});
  EXPECT_EQ(clock.now(), VirtualNs{100});
  clock.set_count(InstrCount{8000});
  EXPECT_EQ(clock.count(), InstrCount{1});
  EXPECT_EQ(clock.now(), VirtualNs{100});
  EXPECT_EQ(clock.instructions(), InstrCount{8000});
  clock.begin_event(InstrCount{8001}, true);
  EXPECT_EQ(clock.count(), InstrCount{2});
  EXPECT_EQ(clock.now(), VirtualNs{100});
}

TEST(Clock, WithSamplesAndInstructionsTimeStandsStillBetweenEvents) {
  Clock clock;
  Steady source;
  clock.use_samples(&source, Counted::instructions);
  clock.begin_event(InstrCount{7000});
  EXPECT_EQ(clock.count(), InstrCount{7000});
  EXPECT_EQ(clock.now(), VirtualNs{100});
  clock.set_count(InstrCount{9000});
  EXPECT_EQ(clock.count(), InstrCount{9000});
  EXPECT_EQ(clock.now(), VirtualNs{100});
  clock.begin_asynchronous();
  EXPECT_EQ(clock.now(), VirtualNs{1100});
  // Without samples it goes on from there.
  clock.use_samples(nullptr);
  clock.set_count(InstrCount{9005});
  EXPECT_EQ(clock.now(), VirtualNs{1100 + 5 * kNsPerInstruction});
}

// The same state, whatever its Moments are called: what a counted recording's hashes are made of.
TEST(Clock, RecountRenamesTheMoment) {
  Clock events, instructions;
  Steady source;
  events.use_samples(&source);
  instructions.use_samples(&source, Counted::instructions);
  for (Clock* clock : {&events, &instructions}) {
    clock->begin_event(InstrCount{70});
    clock->begin_event(InstrCount{75});
    clock->set_count(InstrCount{80});
  }
  events.recount(events.instructions());
  StateWriter a, b;
  events.save(a);
  instructions.save(b);
  EXPECT_TRUE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end()));
  EXPECT_EQ(events.now(), VirtualNs{200});
}

TEST(Clock, WithSamplesATimerIsDueWhenTheTimeIsThere) {
  Clock clock;
  Steady source;
  int fired = 0;
  const TimerId timer = clock.add_timer("test", [&] { ++fired; });
  clock.use_samples(&source, Counted::instructions);
  clock.arm(timer, VirtualNs{150});
  clock.begin_event(InstrCount{10});
  EXPECT_FALSE(clock.next_due_count());
  clock.begin_event(InstrCount{20});
  EXPECT_EQ(clock.next_due_count(), InstrCount{20});
  EXPECT_TRUE(clock.fire_due());
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(clock.next_due_count());
  clock.set_alarm(VirtualNs{250});
  EXPECT_FALSE(clock.next_due_count());
  clock.begin_event(InstrCount{30});
  EXPECT_EQ(clock.next_due_count(), InstrCount{30});
  clock.set_alarm(std::nullopt);
  EXPECT_FALSE(clock.next_due_count());
  source.waited_for = true;
  EXPECT_EQ(clock.next_due_count(), InstrCount{30});
}

}  // namespace
}  // namespace rondo
