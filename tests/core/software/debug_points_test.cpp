// A debugger's breakpoints and watchpoints, on both drives.
#include "core/debug_points.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/core/software/test_machine.h"

namespace rondo {
namespace {

using testing::TestMachine;

constexpr u64 kCode = TestMachine::kCode, kData = TestMachine::kData;

class DebugPointsTest : public ::testing::TestWithParam<bool> {
 protected:
  // Runs on to a debugger's stop, or for `most` instructions; true: stopped.
  bool go(u64 most = 100'000) {
    const InstrCount stop = machine.clock.count() + most;
    while (machine.clock.count() < stop) {
      const EngineStop why = GetParam() ? machine.engine->step() : machine.engine->run(stop);
      if (why == EngineStop::debug) return true;
      if (why == EngineStop::halted || why == EngineStop::shutdown) return false;
    }
    return false;
  }
  bool pass_and_go() {
    machine.engine->pass_breakpoint();
    return go();
  }
  void breakpoints(std::vector<u64> addresses) {
    DebugPoints points;
    for (const u64 a : addresses) points.breakpoints.emplace_back(a);
    machine.engine->set_debug_points(points);
  }
  void watch(std::vector<Watchpoint> watchpoints) { machine.engine->set_debug_points({{}, std::move(watchpoints)}); }
  u64 rip() { return machine.engine->state().rip; }
  u64 count() { return machine.clock.count().value; }
  const DebugStop& stop() { return machine.engine->debug_stop(); }

  TestMachine machine;
};
INSTANTIATE_TEST_SUITE_P(Engine, DebugPointsTest, ::testing::Values(false, true),
                         [](const auto& drive) { return drive.param ? "step" : "run"; });

TEST_P(DebugPointsTest, BreakpointStopsBeforeItsInstructionEveryTime) {
  machine.load({0x48, 0xff, 0xc0,   // inc rax
                0x90,               // nop
                0x48, 0xff, 0xc3,   // inc rbx
                0xeb, 0xf7});       // jmp back
  machine.engine->set_state(TestMachine::long_mode());
  machine.run(40, GetParam());  // blocks are warm
  breakpoints({kCode + 4});
  for (u64 i = 1; i < 5; ++i) {
    ASSERT_TRUE(pass_and_go());
    EXPECT_EQ(rip(), kCode + 4);
    EXPECT_EQ(count(), 40 + 4 * (i - 1) + 2);
    EXPECT_EQ(machine.engine->state().gpr[RAX], 10 + i);
    EXPECT_EQ(machine.engine->state().gpr[RBX], 10 + i - 1);
    EXPECT_EQ(stop().kind, DebugStop::Kind::breakpoint);
    EXPECT_EQ(stop().before, (Position{InstrCount{count()}, 0}));
    ASSERT_TRUE(go()) << "not passed: stops at once";
    EXPECT_EQ(count(), 40 + 4 * (i - 1) + 2);
  }
  breakpoints({});
  EXPECT_FALSE(go());
}

TEST_P(DebugPointsTest, AnotherAddressWithTheSamePageOffsetIsNoBreakpoint) {
  machine.load({0x48, 0xff, 0xc0, 0xeb, 0xfb});  // inc rax; jmp back
  machine.engine->set_state(TestMachine::long_mode());
  breakpoints({kCode + 0x1003, kCode + 0x2000});
  EXPECT_FALSE(go());
  EXPECT_EQ(count(), 100'000u);
}

TEST_P(DebugPointsTest, BreakpointOnAnInstructionAcrossPages) {
  std::vector<u8> code(0x1000, 0x90);
  code.resize(0xffe);
  code.insert(code.end(), {0x48, 0xff, 0xc0, 0xeb, 0xfb});  // inc rax, its last byte on the next page
  machine.load(code);
  machine.engine->set_state(TestMachine::long_mode());
  breakpoints({kCode + 0xffe});
  for (u64 i = 0; i < 3; ++i) {
    ASSERT_TRUE(pass_and_go());
    EXPECT_EQ(rip(), kCode + 0xffe);
    EXPECT_EQ(machine.engine->state().gpr[RAX], i);
  }
}

TEST_P(DebugPointsTest, WriteWatchpointStopsAfterTheStore) {
  machine.load({0x48, 0xff, 0xc0,               // inc rax
                0x48, 0x89, 0x43, 0x08,         // mov [rbx+8], rax
                0x48, 0x8b, 0x4b, 0x08,         // mov rcx, [rbx+8]
                0x48, 0xff, 0x43, 0x10,         // inc qword [rbx+16]
                0xeb, 0xef});                   // jmp back
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = kData;
  machine.engine->set_state(s);
  machine.run(50, GetParam());
  watch({{GuestLinear{kData + 12}, 1, WatchKind::write}});
  for (u64 i = 0; i < 3; ++i) {
    ASSERT_TRUE(go());
    EXPECT_EQ(rip(), kCode + 7);
    EXPECT_EQ(count(), 50 + 5 * i + 2);
    EXPECT_EQ(stop().kind, DebugStop::Kind::watchpoint);
    EXPECT_EQ(stop().watchpoints, std::vector<u32>{0});
    EXPECT_EQ(stop().before, (Position{InstrCount{count() - 1}, 0}));
  }
  watch({{GuestLinear{kData + 8}, 8, WatchKind::read}});
  ASSERT_TRUE(go());
  EXPECT_EQ(rip(), kCode + 11);
  watch({{GuestLinear{kData + 8}, 64, WatchKind::access}, {GuestLinear{kData + 16}, 1, WatchKind::write}});
  ASSERT_TRUE(go());
  EXPECT_EQ(rip(), kCode + 15);
  EXPECT_EQ(stop().watchpoints, (std::vector<u32>{0, 1}));
  watch({{GuestLinear{kData + 0x100}, 64, WatchKind::access}});
  EXPECT_FALSE(go());
}

TEST_P(DebugPointsTest, AccessAcrossPagesAndHugeRanges) {
  machine.load({0x48, 0x89, 0x03, 0xeb, 0xfb});  // mov [rbx], rax; jmp back
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = kData + 0xffc;
  machine.engine->set_state(s);
  watch({{GuestLinear{kData + 0x1003}, 1, WatchKind::write}});
  ASSERT_TRUE(go());
  watch({{GuestLinear{kData + 0x1004}, 1, WatchKind::write}});
  EXPECT_FALSE(go());
  watch({{GuestLinear{kData + 0x1004}, ~u64{0}, WatchKind::write}});  // wraps to just below
  EXPECT_TRUE(go());
  watch({{GuestLinear{0}, u64{1} << 40, WatchKind::write}});
  EXPECT_TRUE(go());
}

TEST_P(DebugPointsTest, WatchpointInsideRepStopsWhenItIsComplete) {
  machine.load({0xf3, 0xaa,    // rep stosb
                0x90, 0xf4});  // nop; hlt
  CpuState s = TestMachine::long_mode();
  s.gpr[RDI] = kData;
  s.gpr[RCX] = 200'000;  // in several goes
  machine.engine->set_state(s);
  watch({{GuestLinear{kData + 5000}, 4, WatchKind::write}});
  ASSERT_TRUE(go());
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(rip(), kCode + 2);
  EXPECT_EQ(machine.engine->state().gpr[RCX], 0u);
  EXPECT_EQ(stop().watchpoints, std::vector<u32>{0});
  EXPECT_EQ(stop().before, (Position{}));
  EXPECT_FALSE(go());
}

TEST_P(DebugPointsTest, BreakpointOnALongRepStopsOnce) {
  machine.load({0xf3, 0xaa, 0xf4});  // rep stosb; hlt
  CpuState s = TestMachine::long_mode();
  s.gpr[RDI] = kData;
  s.gpr[RCX] = 200'000;
  machine.engine->set_state(s);
  breakpoints({kCode});
  ASSERT_TRUE(go());
  EXPECT_EQ(machine.engine->state().gpr[RCX], 200'000u);
  EXPECT_FALSE(pass_and_go());
  EXPECT_EQ(machine.engine->state().gpr[RCX], 0u);
}

TEST_P(DebugPointsTest, PushOfACallIsAnAccess) {
  machine.load({0xe8, 0x00, 0x00, 0x00, 0x00,  // call next
                0x58, 0xf4});                  // pop rax; hlt
  machine.engine->set_state(TestMachine::long_mode());
  watch({{GuestLinear{TestMachine::kStack - 1}, 1, WatchKind::access}});
  ASSERT_TRUE(go());
  EXPECT_EQ(rip(), kCode + 5);
  ASSERT_TRUE(go());
  EXPECT_EQ(rip(), kCode + 6);
}

TEST(DebugPointsFault, DeliveriesAreNumbered) {
  // #UD with no usable IDT entry ends in a triple fault; a handler that faults again and again is delivered again and again.
  TestMachine machine;
  machine.load({0x0f, 0x0b});  // ud2
  std::vector<u8> gate(16);
  const u64 handler = kCode;
  gate[0] = static_cast<u8>(handler), gate[1] = static_cast<u8>(handler >> 8), gate[2] = 0x10, gate[5] = 0x8e;
  gate[6] = static_cast<u8>(handler >> 16);
  machine.load(gate, kData + 6 * 16);
  std::vector<u8> gdt(64);
  const u64 code_segment = 0x00af9a000000ffff;
  std::memcpy(gdt.data() + 0x10, &code_segment, 8);
  machine.load(gdt, kData + 0x1000);
  CpuState s = TestMachine::long_mode();
  s.idtr = {kData, 0xfff};
  s.gdtr = {kData + 0x1000, 63};
  machine.engine->set_state(s);
  EXPECT_EQ(machine.engine->deliveries(), 0u);
  for (u64 i = 1; i <= 3; ++i) {
    machine.engine->step();
    EXPECT_EQ(machine.engine->deliveries(), i);
    EXPECT_EQ(machine.clock.count().value, 0u);
  }
  DebugPoints points;
  points.watchpoints.push_back({GuestLinear{machine.engine->state().gpr[RSP] - 16}, 16, WatchKind::write});
  machine.engine->set_debug_points(points);
  EXPECT_EQ(machine.engine->run(InstrCount{100}), EngineStop::debug);
  EXPECT_EQ(machine.engine->deliveries(), 4u);
  EXPECT_EQ(machine.engine->debug_stop().before, (Position{InstrCount{0}, 3}));
  points.watchpoints.clear();
  points.breakpoints.emplace_back(kCode);
  machine.engine->set_debug_points(points);
  EXPECT_EQ(machine.engine->run(InstrCount{100}), EngineStop::debug);
  EXPECT_EQ(machine.engine->deliveries(), 4u);
  machine.engine->pass_breakpoint();
  EXPECT_EQ(machine.engine->run(InstrCount{100}), EngineStop::debug);
  EXPECT_EQ(machine.engine->deliveries(), 5u);
}

}  // namespace
}  // namespace rondo
