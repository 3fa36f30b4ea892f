// The machine's loop, driven by a scripted engine: limits, timers, idle skips, polls.
#include "core/machine.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

// Executes nothing: counts, and stops where the script says.
class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(Clock& clock) : clock_(clock) {}

  EngineStop run(InstrCount stop) override {
    EXPECT_GE(stop, clock_.count()) << "never asked to go back";
    stops.push_back(stop.value);
    if (halt_at && clock_.count() <= *halt_at && stop >= *halt_at && !awake) {
      clock_.set_count(*halt_at);
      cpu.activity = Activity::halted;
      return EngineStop::halted;
    }
    clock_.set_count(stop);
    return ended ? EngineStop::shutdown : EngineStop::count_reached;
  }
  EngineStop step() override { return run(clock_.count() + 1); }
  CpuState state() const override { return cpu; }
  void set_state(const CpuState& state) override { cpu = state; }
  void memory_changed() override { ++memory_changes; }
  void pages_changed(std::span<const u64>) override {}
  void watch_writes() override {}
  void interrupt() override {}
  void set_debug_points(DebugPoints) override {}
  const DebugStop& debug_stop() const override { return debug; }
  void pass_breakpoint() override {}
  void set_search(const std::optional<SearchPoint>&) override {}
  u64 deliveries() const override { return 0; }
  std::vector<UnsupportedInstruction> unsupported() const override { return {}; }

  CpuState cpu = CpuState::at_reset();
  DebugStop debug;
  std::optional<InstrCount> halt_at;
  bool awake = false;  // an interrupt came: the halt is over
  bool ended = false;
  std::vector<u64> stops;
  int memory_changes = 0;

 private:
  Clock& clock_;
};

class MachineLoop : public ::testing::Test {
 protected:
  MachineLoop() : machine(PhysicalMemory::create(kMinimumRam).value()) {
    auto owned = std::make_unique<ScriptedEngine>(machine.clock());
    engine = owned.get();
    engine->cpu.rflags |= flags::IF;
    machine.attach_engine(std::move(owned));
  }
  RunLimits instructions(u64 count) {
    RunLimits limits;
    limits.instructions = InstrCount{count};
    return limits;
  }
  Machine machine;
  ScriptedEngine* engine;
};

TEST_F(MachineLoop, InstructionLimitIsExactAndResumable) {
  EXPECT_EQ(machine.run(instructions(1000)).reason, ExitReason::instruction_limit);
  EXPECT_EQ(machine.clock().count(), InstrCount{1000});
  EXPECT_EQ(machine.run(instructions(1000)).reason, ExitReason::instruction_limit);
  EXPECT_EQ(machine.run(instructions(1001)).reason, ExitReason::instruction_limit);
  EXPECT_EQ(machine.clock().count(), InstrCount{1001});
}

TEST_F(MachineLoop, TimeLimitIsExactWithIdleSkips) {
  engine->halt_at = InstrCount{100};
  machine.clock().arm(machine.clock().add_timer("t", [] {}), VirtualNs{1'000'000});
  RunLimits limits;
  limits.virtual_time = VirtualNs{5000};
  EXPECT_EQ(machine.run(limits).reason, ExitReason::time_limit);
  EXPECT_EQ(machine.clock().now(), VirtualNs{5000});
  EXPECT_EQ(machine.clock().count(), InstrCount{100});
}

TEST_F(MachineLoop, TimersFireAtTheirExactCount) {
  std::vector<u64> fired;
  TimerId timer;
  timer = machine.clock().add_timer("t", [&] {
    fired.push_back(machine.clock().count().value);
    if (fired.size() < 3) machine.clock().arm(timer, machine.clock().now() + 70);
  });
  machine.clock().arm(timer, VirtualNs{30});
  machine.run(instructions(1000));
  EXPECT_EQ(fired, (std::vector<u64>{30, 100, 170}));
}

TEST_F(MachineLoop, IdleSkipsToTheNextTimer) {
  engine->halt_at = InstrCount{10};
  machine.clock().arm(machine.clock().add_timer("t", [&] { engine->awake = true; }), VirtualNs{5'000'000});
  EXPECT_EQ(machine.run(instructions(20)).reason, ExitReason::instruction_limit);
  EXPECT_EQ(machine.clock().now(), VirtualNs{5'000'010});
}

TEST_F(MachineLoop, HaltedForEverEnds) {
  engine->halt_at = InstrCount{10};
  EXPECT_EQ(machine.run({}).reason, ExitReason::halted);
}

TEST_F(MachineLoop, HaltedWithInterruptsOffEndsThoughATimerTicks) {
  engine->halt_at = InstrCount{10};
  engine->cpu.rflags &= ~flags::IF;
  TimerId timer;
  timer = machine.clock().add_timer("tick", [&] { machine.clock().arm(timer, machine.clock().now() + 1000); });
  machine.clock().arm(timer, VirtualNs{1000});
  EXPECT_EQ(machine.run({}).reason, ExitReason::halted);
}

TEST_F(MachineLoop, AnEmptyIdtMakesATripleFaultAReset) {
  engine->ended = true;
  engine->cpu.idtr.limit = 0;
  EXPECT_EQ(machine.run(instructions(5)).reason, ExitReason::reset);
  engine->cpu.idtr.limit = 0xfff;
  EXPECT_EQ(machine.run(instructions(9)).reason, ExitReason::triple_fault);
}

TEST_F(MachineLoop, TheFirstRequestEndsTheMachineForGood) {
  machine.request_debug_exit(5);
  machine.request_power_off();
  EXPECT_EQ(machine.run({}).reason, ExitReason::debug_exit);
  EXPECT_EQ(machine.run({}).debug_exit_code, 11u);
  EXPECT_TRUE(machine.exit_requested());
}

TEST_F(MachineLoop, PollsComeAtMultiplesWhateverElseHappens) {
  TimerId timer;
  timer = machine.clock().add_timer("t", [&] { machine.clock().arm(timer, machine.clock().now() + 33); });
  machine.clock().arm(timer, VirtualNs{7});
  std::vector<u64> polls;
  PollingDoor door(50, [&](std::optional<VirtualNs> idle) {
    EXPECT_FALSE(idle);
    polls.push_back(machine.clock().count().value);
    return true;
  });
  machine.run(instructions(130), &door);
  machine.run(instructions(210), &door);
  EXPECT_EQ(polls, (std::vector<u64>{50, 100, 150, 200}));
}

TEST_F(MachineLoop, PollMayWakeAnIdleMachineOrStopIt) {
  engine->halt_at = InstrCount{10};
  machine.clock().arm(machine.clock().add_timer("far", [] {}), VirtualNs{1'000'000'000});
  std::optional<VirtualNs> told;
  PollingDoor waking(1000, [&](std::optional<VirtualNs> idle) {
    if (idle) told = idle, engine->awake = true;
    return true;
  });
  machine.run(instructions(20), &waking);
  EXPECT_EQ(told, VirtualNs{1'000'000'000});
  EXPECT_EQ(machine.clock().now(), VirtualNs{20}) << "woken before the skip";
  engine->awake = false;
  engine->halt_at = InstrCount{30};
  PollingDoor stopping(1000, [](std::optional<VirtualNs>) { return false; });
  EXPECT_EQ(machine.run({}, &stopping).reason, ExitReason::stopped);
}

TEST_F(MachineLoop, SaveAndLoadAreInverse) {
  machine.run(instructions(123));
  const u8 byte = 42;
  machine.memory().write(GuestPhys{5000}, {&byte, 1});
  StateWriter writer;
  machine.save(writer);
  const std::string hash = machine.state_hash();
  machine.run(instructions(456));
  EXPECT_NE(machine.state_hash(), hash);
  StateReader reader(writer.bytes());
  ASSERT_TRUE(machine.load(reader));
  EXPECT_EQ(machine.state_hash(), hash);
  EXPECT_EQ(engine->memory_changes, 1);
  for (u64 length : {u64{0}, u64{10}, writer.bytes().size() / 2, writer.bytes().size() - 1}) {
    StateReader truncated(std::span(writer.bytes()).first(length));
    EXPECT_FALSE(machine.load(truncated));
  }
}

}  // namespace
}  // namespace rondo
