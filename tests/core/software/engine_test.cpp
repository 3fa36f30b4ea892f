// The two drives and the caches behind them, on a few bytes of code each.
#include "core/software/engine.h"

#include <gtest/gtest.h>

#include "tests/core/software/test_machine.h"

namespace rondo {
namespace {

using testing::TestMachine;

// A program, run by both drives: [0] run, [1] step.
class BothDrives : public ::testing::TestWithParam<bool> {
 protected:
  bool stepped() const { return GetParam(); }
  TestMachine machine;
};
INSTANTIATE_TEST_SUITE_P(Engine, BothDrives, ::testing::Values(false, true),
                         [](const auto& drive) { return drive.param ? "step" : "run"; });

TEST_P(BothDrives, CountsRetiredInstructionsExactly) {
  machine.load({0x48, 0xff, 0xc0,   // inc rax
                0xeb, 0xfb});       // jmp back
  machine.engine->set_state(TestMachine::long_mode());
  for (u64 n : {1u, 2u, 63u, 64u, 65u, 1000u, 12345u}) {
    const u64 before = machine.clock.count().value;
    machine.run(n, stepped());
    EXPECT_EQ(machine.clock.count().value, before + n);
    EXPECT_EQ(machine.engine->state().gpr[RAX], (before + n + 1) / 2);
  }
}

TEST_P(BothDrives, StoreToTheNextInstructionTakesEffect) {
  machine.load({0xc6, 0x05, 0x00, 0x00, 0x00, 0x00, 0xcb,  // mov byte [rip+0], 0xcb: into the next instruction
                0x48, 0xff, 0xc0,                          // inc rax; its first byte becomes 0xcb? see below
                0xf4});
  // Patch the ModRM of "inc rax" (48 ff c0) so that it reads "inc rbx" (48 ff c3).
  machine.load({0xc6, 0x05, 0x02, 0x00, 0x00, 0x00, 0xc3,  // mov byte [rip+2], 0xc3
                0x48, 0xff, 0xc0,                          // inc rax -> inc rbx
                0xf4});
  machine.engine->set_state(TestMachine::long_mode());
  machine.run(2, stepped());
  EXPECT_EQ(machine.engine->state().gpr[RAX], 0u);
  EXPECT_EQ(machine.engine->state().gpr[RBX], 1u);
}

TEST_P(BothDrives, CodeChangedThroughAnAliasTakesEffect) {
  // The second gigabyte maps the first: PDPT[1] = PDPT[0].
  const u64 entry = (TestMachine::kTables + 0x2000) | 7;
  machine.load({reinterpret_cast<const u8*>(&entry), 8}, TestMachine::kTables + 0x1008);
  machine.load({0x48, 0xff, 0xc0,                                // inc rax
                0xc6, 0x03, 0x48,                                // mov byte [rbx], 0x48   (no change yet)
                0xc6, 0x43, 0x02, 0xc1,                          // mov byte [rbx+2], 0xc1: inc rax -> inc rcx, through the alias
                0xeb, 0xf4});                                    // jmp back
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = TestMachine::kCode + (u64{1} << 30);
  machine.engine->set_state(s);
  machine.run(4 * 5, stepped());
  EXPECT_EQ(machine.engine->state().gpr[RAX], 1u);
  EXPECT_EQ(machine.engine->state().gpr[RCX], 4u);
}

TEST_P(BothDrives, ChangedPageTableTakesEffectWithoutInvlpg) {
  // Page tables for kData at 4 KB: PD[1] -> a table at 0x4000.
  const u64 pd_entry = 0x4000 | 7;
  machine.load({reinterpret_cast<const u8*>(&pd_entry), 8}, TestMachine::kTables + 0x2008);
  for (u64 i = 0; i < 512; ++i) {
    const u64 pte = (TestMachine::kData + i * kPageSize) | 7;
    machine.memory->write(GuestPhys{0x4000 + 8 * i}, {reinterpret_cast<const u8*>(&pte), 8});
  }
  const u8 first = 0x11, second = 0x22;
  machine.memory->write(GuestPhys{TestMachine::kData}, {&first, 1});
  machine.memory->write(GuestPhys{TestMachine::kData + kPageSize}, {&second, 1});
  machine.load({0x8a, 0x03,              // mov al, [rbx]
                0x48, 0x89, 0x11,        // mov [rcx], rdx: the entry now maps the second page
                0x8a, 0x23,              // mov ah, [rbx]
                0xf4});
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = TestMachine::kData;
  s.gpr[RCX] = 0x4000;
  s.gpr[RDX] = (TestMachine::kData + kPageSize) | 7;
  machine.engine->set_state(s);
  machine.run(3, stepped());
  EXPECT_EQ(machine.engine->state().gpr[RAX], 0x2211u);
}

TEST_P(BothDrives, AccessedAndDirtyBitsAreSetAgainAfterTheGuestClearsThem) {
  machine.load({0x88, 0x03,              // mov [rbx], al
                0x48, 0x89, 0x11,        // mov [rcx], rdx: clears A and D of the page directory entry
                0x8a, 0x23,              // mov ah, [rbx]: sets A again
                0x88, 0x03,              // mov [rbx], al: sets D again
                0xf4});
  CpuState s = TestMachine::long_mode();
  const u64 pde = TestMachine::kTables + 0x2000 + 8;
  s.gpr[RBX] = TestMachine::kData;
  s.gpr[RCX] = pde;
  s.gpr[RDX] = TestMachine::kData | 0x87;
  machine.engine->set_state(s);
  auto bits = [&] {
    u64 entry = 0;
    machine.memory->read(GuestPhys{pde}, {reinterpret_cast<u8*>(&entry), 8});
    return entry & 0x60;
  };
  machine.run(1, stepped());
  EXPECT_EQ(bits(), 0x60u);
  machine.run(1, stepped());
  EXPECT_EQ(bits(), 0u);
  machine.run(1, stepped());
  EXPECT_EQ(bits(), 0x20u);
  machine.run(1, stepped());
  EXPECT_EQ(bits(), 0x60u);
}

TEST_P(BothDrives, InstructionAcrossAPageBoundary) {
  const u64 at = TestMachine::kCode + kPageSize - 4;
  machine.load({0x48, 0x05, 0x01, 0x00, 0x00, 0x00,  // add rax, 1: four bytes here, two in the next page
                0xeb, 0xf8},                         // jmp back
               at);
  CpuState s = TestMachine::long_mode();
  s.rip = at;
  machine.engine->set_state(s);
  machine.run(1000, stepped());
  EXPECT_EQ(machine.engine->state().gpr[RAX], 500u);
}

TEST(Engine, LongRunsOfLinkedBlocksNeedNoStack) {
  // Sibling calls are what keeps the interpreter's stack flat. If a compiler stopped making them, 50 million instructions would overflow it.
  TestMachine machine;
  machine.load({0x48, 0x83, 0xc0, 0x01,        // add rax, 1
                0x48, 0x89, 0x03,              // mov [rbx], rax
                0x48, 0x8b, 0x0b,              // mov rcx, [rbx]
                0x48, 0x39, 0xc8,              // cmp rax, rcx
                0x75, 0xf0,                    // jne back
                0x53, 0x5a,                    // push rbx; pop rdx
                0x48, 0xc1, 0xe2, 0x03,        // shl rdx, 3
                0xe8, 0x00, 0x00, 0x00, 0x00,  // call next
                0x58 + 6,                      // pop rsi
                0xeb, 0xe4});                  // jmp back
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = TestMachine::kData;
  machine.engine->set_state(s);
  machine.run(50'000'000);
  EXPECT_EQ(machine.clock.count().value, 50'000'000u);
}

TEST(Engine, RunAndStepAgreeAtEveryCount) {
  const std::vector<u8> code = {0x48, 0x83, 0xc0, 0x03, 0x48, 0x31, 0xc3, 0x48, 0x0f, 0xaf, 0xcb, 0x48, 0xff, 0xc1, 0x88, 0x06,
                                0x48, 0xff, 0xc6, 0x40, 0xf6, 0xc6, 0x0f, 0x75, 0xe7, 0x48, 0x81, 0xee, 0x10, 0, 0, 0, 0xeb, 0xde};
  TestMachine a, b;
  for (TestMachine* m : {&a, &b}) {
    m->load(code);
    CpuState s = TestMachine::long_mode();
    s.gpr[RSI] = TestMachine::kData;
    s.gpr[RCX] = 7;
    m->engine->set_state(s);
  }
  for (int i = 0; i < 500; ++i) {
    a.run(1 + i % 7);
    b.run(1 + i % 7, true);
    StateWriter sa, sb;
    a.engine->state().save(sa, 0);
    b.engine->state().save(sb, 0);
    ASSERT_EQ(sa.bytes(), sb.bytes()) << "at count " << a.clock.count().value;
  }
  EXPECT_EQ(a.memory->hash(), b.memory->hash());
}

}  // namespace
}  // namespace rondo
