// Guests on KVM, on the board that `rondo run` uses, against the software engine.
#include <gtest/gtest.h>

#include "core/kvm/system.h"
#include "harness/board.h"
#include "harness/kvm/host.h"
#include "tests/core/kvm/cpu_states.h"

namespace rondo {
namespace {

struct Collector final : CharacterSink {
  std::string text;
  void put(u8 byte) override { text += static_cast<char>(byte); }
};

struct Outcome {
  std::string reason;
  u32 code = 0;
  std::string console;
  std::string failure;
  bool operator==(const Outcome&) const = default;
};

Outcome run_guest(const std::string& path, EngineKind kind, u64 kick_ns = kKickEveryNs) {
  Collector console;
  HostKicker kicker(kick_ns);
  HostTimeSource time;
  BoardConfig config;
  config.memory_bytes = u64{64} << 20;
  config.console = &console;
  config.engine = kind;
  config.kvm.kicker = &kicker;
  if (kind == EngineKind::kvm) config.time_source = &time;
  auto kernel = Image::read(path, "kernel");
  if (!kernel) return {"", 0, "", kernel.error().message};
  config.kernel = *kernel;
  auto board = Board::create(config);
  if (!board) return {"", 0, "", board.error().message};
  RunLimits limits;
  if (kind == EngineKind::software) limits.instructions = InstrCount{2'000'000'000};
  const RunResult result = (*board)->machine().run(limits);
  return {std::string(to_string(result.reason)), result.debug_exit_code, console.text,
          (*board)->machine().engine().failure()};
}

std::string guest_path(const std::string& name) { return std::string(RONDO_GUESTS) + "/" + name + ".elf"; }

struct OnKvm : testing::Test {
  void SetUp() override {
    const auto opened = kvm::System::open();
    if (!opened.system) GTEST_SKIP() << "no KVM: " << opened.error.message;
  }
};

// Polled and interrupt-driven output, string I/O, MMIO, timer interrupts into a loop without exits, nested interrupts.
TEST_F(OnKvm, DevicesAsOnTheSoftwareEngine) {
  const Outcome software = run_guest(guest_path("kvm_devices"), EngineKind::software);
  EXPECT_EQ(software.code, 1u);
  for (const u64 kick_ns : {50'000, 300'000, 1'000'000, 10'000'000}) {
    EXPECT_EQ(run_guest(guest_path("kvm_devices"), EngineKind::kvm, kick_ns).console, software.console) << kick_ns;
  }
  EXPECT_EQ(run_guest(guest_path("kvm_devices"), EngineKind::kvm), software);
}

// Nothing in its memory.
Result<std::unique_ptr<Board>> empty_board(HostKicker& kicker, HostTimeSource& time) {
  BoardConfig config;
  config.memory_bytes = u64{2} << 20;
  config.engine = EngineKind::kvm;
  config.kvm.kicker = &kicker;
  config.time_source = &time;
  return Board::create(config);
}

TEST_F(OnKvm, StopFromAnotherThreadEndsABusyGuest) {
  HostKicker kicker;
  HostTimeSource time;
  const auto board = empty_board(kicker, time);
  ASSERT_TRUE(board) << board.error().message;
  Machine& machine = (*board)->machine();
  const u8 loop[] = {0xeb, 0xfe};
  ASSERT_TRUE(machine.memory().write(GuestPhys{0x1000}, loop));
  CpuState state = CpuState::at_reset();
  state.segment[CS].selector = 0;
  state.segment[CS].base = 0;
  state.rip = 0x1000;
  machine.engine().set_state(state);
  machine.stop();
  EXPECT_EQ(machine.run({}).reason, ExitReason::stopped);
  EXPECT_EQ(machine.engine().state().rip, 0x1000u);
}

// What goes in comes out, for a state in which every field differs from its default.
TEST_F(OnKvm, StateRoundTrip) {
  HostKicker kicker;
  HostTimeSource time;
  const auto board = empty_board(kicker, time);
  ASSERT_TRUE(board) << board.error().message;
  Machine& machine = (*board)->machine();
  CpuState s = CpuState::at_reset();
  for (unsigned i = 0; i < 16; ++i) s.gpr[i] = u64{0x1111111111111111} * i + 7;
  s.rip = 0x1000;
  s.segment[CS].selector = 0;
  s.segment[CS].base = 0;
  s.segment[DS].selector = 0x123;
  s.segment[DS].base = 0x1230;
  s.gdtr = {0x5000, 0x77};
  s.idtr = {0x6000, 0x3ff};
  s.cr2 = 0xdeadbeef;
  s.dr = {1, 2, 3, 4};
  s.rflags = flags::FIXED1 | flags::CF | flags::OF;
  s.fpu.status = 3 << 11 | 1;
  s.fpu.control = 0x027f;
  s.fpu.valid = 0x81;
  for (unsigned i = 0; i < 8; ++i)
    s.fpu.significand[i] = 0x8000000000000000 | i, s.fpu.sign_exponent[i] = static_cast<u16>(0x3fff + i);
  for (unsigned i = 0; i < 16; ++i) s.xmm[i].lane = {i, ~u64{i}};
  s.mxcsr = 0x1fa0;
  s.sysenter_cs = 8, s.sysenter_esp = 0x1234, s.sysenter_eip = 0x5678;
  s.star = 0x23001000000000, s.lstar = 0xffffffff80001000, s.cstar = 0x2000, s.sfmask = 0x700,
  s.kernel_gs_base = 0x7777, s.tsc_aux = 5;
  s.tsc_offset = 99, s.pat = 0x0606060606060606, s.mtrr_def_type = 0xc06;
  machine.engine().set_state(s);
  // An IN of port 0x80 into AL, so that the state goes to KVM and comes back.
  const u8 code[] = {0xe4, 0x80};
  ASSERT_TRUE(machine.memory().write(GuestPhys{0x1000}, code));
  RunLimits one_event;
  one_event.instructions = InstrCount{1};
  ASSERT_EQ(machine.run(one_event).reason, ExitReason::instruction_limit);
  const CpuState after = machine.engine().state();
  s.rip = 0x1002;
  s.gpr[RAX] = (s.gpr[RAX] & ~u64{0xff}) | (after.gpr[RAX] & 0xff);
  expect_equal(after, s);
}

}  // namespace
}  // namespace rondo
