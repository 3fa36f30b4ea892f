// A run that moves between the engines at random Moments ends as one that never left the software engine.
//
// Time is a function of the synchronous events here, the same for both: what differs between the two runs is only who
// executed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "core/kvm/system.h"
#include "core/state/hash.h"
#include "harness/board.h"
#include "harness/kvm/host.h"
#include "tests/core/kvm/cpu_states.h"
#include "tests/slow.h"

namespace rondo {
namespace {

// 20 us per event. A kick is never a Moment.
struct EventTime final : TimeSource {
  VirtualNs at_event(VirtualNs now, bool joined) override { return joined ? now : now + 20'000; }
  VirtualNs at_kick(VirtualNs now) override { return now; }
  bool is_late(VirtualNs, VirtualNs) const override { return false; }
};

struct Collector final : CharacterSink {
  std::string text;
  void put(u8 byte) override { text += static_cast<char>(byte); }
};

struct Guest {
  Collector console;
  HostKicker kicker;
  EventTime time;
  std::unique_ptr<Board> board;

  Machine& machine() { return board->machine(); }
  void start(const std::string& guest) {
    BoardConfig config;
    config.memory_bytes = u64{8} << 20;
    config.console = &console;
    config.kvm.kicker = &kicker;
    config.time_source = &time;
    auto kernel = Image::read(std::string(RONDO_GUESTS) + "/" + guest + ".elf", "kernel");
    ASSERT_TRUE(kernel) << kernel.error().message;
    config.kernel = *kernel;
    auto made = Board::create(config);
    ASSERT_TRUE(made) << made.error().message;
    board = std::move(*made);
  }
  // To a number of events; true: the guest ended before.
  bool run_to(u64 events) {
    RunLimits limits;
    limits.instructions = InstrCount{events};
    const RunResult result = machine().run(limits);
    EXPECT_NE(result.reason, ExitReason::host_failure) << machine().engine().failure();
    return result.reason != ExitReason::instruction_limit;
  }
  u64 events() { return machine().clock().count().value; }
};

// Memory, devices and registers, without the x87's last-instruction pointers (docs/kvm.md).
Machine::ComponentHashes comparable(Machine& machine) {
  auto hashes = machine.component_hashes();
  CpuState cpu = machine.engine().state();
  cpu.fpu.opcode = 0;
  cpu.fpu.instruction_pointer = cpu.fpu.data_pointer = 0;
  cpu.fpu.instruction_selector = cpu.fpu.data_selector = 0;
  StateWriter writer;
  cpu.save(writer, 0);
  for (auto& [name, hash] : hashes) {
    if (name == "vcpu0") hash = hash_hex(writer.bytes());
  }
  return hashes;
}

class Handover : public testing::Test {
 protected:
  void SetUp() override {
    const auto opened = kvm::System::open();
    if (!opened.system) GTEST_SKIP() << "no KVM: " << opened.error.message;
  }
};

// The same registers and the same memory after every single event.
TEST_F(Handover, EveryEventLeavesTheSameState) {
  Guest software, hardware;
  software.start("kvm_tasks");
  hardware.start("kvm_tasks");
  const auto to_kvm = hardware.board->use_engine(EngineKind::kvm);
  ASSERT_TRUE(to_kvm) << to_kvm.error().message;
  for (u64 event = 1;; ++event) {
    const bool ended = software.run_to(event);
    ASSERT_EQ(hardware.run_to(event), ended) << "event " << event;
    expect_equal(hardware.machine().engine().state(), software.machine().engine().state());
    ASSERT_EQ(comparable(hardware.machine()), comparable(software.machine())) << "event " << event;
    if (ended) break;
  }
  EXPECT_EQ(hardware.console.text, software.console.text);
}

TEST_F(Handover, RunsEndAsIfTheyHadNeverLeft) {
  const unsigned handovers = rondo::slow_tests() ? 1000 : 100;
  Guest reference;
  reference.start("kvm_tasks");
  ASSERT_TRUE(reference.run_to(u64{1} << 40));
  const u64 total = reference.events();
  ASSERT_GT(total, 500u);

  std::mt19937_64 random(1);
  unsigned done = 0;
  for (u64 run_number = 0; done < handovers; ++run_number) {
    Guest moving;
    moving.start("kvm_tasks");
    for (bool ended = false; !ended;) {
      ended = moving.run_to(moving.events() + 1 + random() % (total / 100));
      // Some instructions further: any Moment between two events.
      RunLimits further;
      further.instructions = moving.machine().clock().count() + 1;
      further.steps = random() % 400;
      further.single_step = true;
      if (!ended) ended = moving.machine().run(further).reason == ExitReason::debug_exit;
      if (ended) break;
      const auto to_kvm = moving.board->use_engine(EngineKind::kvm);
      ASSERT_TRUE(to_kvm) << to_kvm.error().message;
      ended = moving.run_to(moving.events() + 1 + random() % 8);
      ASSERT_TRUE(moving.board->use_engine(EngineKind::software));
      ++done;
    }
    EXPECT_EQ(moving.events(), total);
    EXPECT_EQ(moving.console.text, reference.console.text);
    ASSERT_EQ(comparable(moving.machine()), comparable(reference.machine())) << "run " << run_number;
  }
  RecordProperty("handovers", static_cast<int>(done));
}

}  // namespace
}  // namespace rondo
