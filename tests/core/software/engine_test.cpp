// The two drives and the caches behind them, on a few bytes of code each.
#include "core/software/engine.h"

#include <gtest/gtest.h>

#include <algorithm>

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

// Both drives over the same code, compared every so many instructions.
void expect_same_course(const std::vector<u8>& code, const CpuState& start, u64 (*quantum)(int)) {
  TestMachine a, b;
  for (TestMachine* m : {&a, &b}) {
    m->load(code);
    m->engine->set_state(start);
  }
  for (int i = 0; i < 500; ++i) {
    a.run(quantum(i));
    b.run(quantum(i), true);
    StateWriter sa, sb;
    a.engine->state().save(sa, 0);
    b.engine->state().save(sb, 0);
    ASSERT_EQ(sa.bytes(), sb.bytes()) << "at count " << a.clock.count().value;
  }
  EXPECT_EQ(a.memory->hash(), b.memory->hash());
}

TEST(Engine, RunAndStepAgreeAtEveryCount) {
  const std::vector<u8> code = {0x48, 0x83, 0xc0, 0x03, 0x48, 0x31, 0xc3, 0x48, 0x0f, 0xaf, 0xcb, 0x48, 0xff, 0xc1, 0x88, 0x06, 0x48,
                                0xff, 0xc6, 0x40, 0xf6, 0xc6, 0x0f, 0x75, 0xe7, 0x48, 0x81, 0xee, 0x10, 0,    0,    0,    0xeb, 0xde};
  CpuState s = TestMachine::long_mode();
  s.gpr[RSI] = TestMachine::kData;
  s.gpr[RCX] = 7;
  expect_same_course(code, s, [](int i) { return u64{1} + static_cast<u64>(i) % 7; });
}

// A call tells where its return is expected (Vcpu::expected_returns).
TEST(Engine, ReturnsThatAreExpectedAndNot) {
  const std::vector<u8> code = {0xb9, 40, 0, 0, 0,              //  0 again: mov ecx, 40
                                0xe8, 10, 0, 0, 0,              //  5 call nest
                                0xe8, 18, 0, 0, 0,              // 10 call thunk
                                0x48, 0xff, 0xc2,               // 15 inc rdx
                                0xeb, 0xec,                     // 18 jmp again
                                0xff, 0xc9,                     // 20 nest: dec ecx; deeper than the ring
                                0x74, 0x05,                     // 22 jz out
                                0xe8, 0xf7, 0xff, 0xff, 0xff,   // 24 call nest
                                0x48, 0xff, 0xc0,               // 29 out: inc rax
                                0xc3,                           // 32 ret
                                0xe8, 4, 0, 0, 0,               // 33 thunk: call over; its return goes elsewhere
                                0xf3, 0x90,                     // 38 pause
                                0xeb, 0xfc,                     // 40 jmp back
                                0x48, 0x89, 0x1c, 0x24,         // 42 over: mov [rsp], rbx
                                0xc3,                           // 46 ret
                                0x48, 0x83, 0xc2, 0x02,         // 47 what rbx points to: add rdx, 2
                                0xc3};                          // 51 ret
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = TestMachine::kCode + 47;
  expect_same_course(code, s, [](int i) { return u64{30} + static_cast<u64>(i) * 37 % 400; });
}

TEST(Engine, CodeChangedWhereACallReturns) {
  const std::vector<u8> code = {0xe8, 5, 0, 0, 0,   //  0 again: call change
                                0x48, 0xff, 0xc0,   //  5 inc rax, or dec rax
                                0xeb, 0xf6,         //  8 jmp again
                                0x88, 0x0b,         // 10 change: mov [rbx], cl
                                0x80, 0xf1, 0x08,   // 12 xor cl, 8: between 0xc0 and 0xc8
                                0xc3};              // 15 ret
  CpuState s = TestMachine::long_mode();
  s.gpr[RBX] = TestMachine::kCode + 7;
  s.gpr[RCX] = 0xc0;
  expect_same_course(code, s, [](int i) { return u64{1} + static_cast<u64>(i) * 13 % 50; });
}

// A data breakpoint on the word that holds a branch's target: the trap comes before the first instruction there. No IDT, so it ends the machine.
TEST_P(BothDrives, DataBreakpointOnABranchTarget) {
  const u64 target = TestMachine::kCode + 16;
  const std::vector<std::vector<u8>> branches = {{0xc3},         // ret
                                                 {0xff, 0x23},   // jmp [rbx]
                                                 {0xff, 0x13}};  // call [rbx]
  for (const std::vector<u8>& branch : branches) {
    TestMachine m;
    std::vector<u8> code(64, 0x90);
    std::ranges::copy(branch, code.begin());
    m.load({reinterpret_cast<const u8*>(&target), 8}, TestMachine::kStack);
    m.load(code);
    CpuState s = TestMachine::long_mode();
    s.gpr[RBX] = TestMachine::kStack;
    s.dr[0] = TestMachine::kStack;
    s.dr7 = 0x400 | 1 | 3 << 16 | 2 << 18;  // 8 bytes, reads and writes
    s.idtr = {0, 0};
    m.engine->set_state(s);
    m.run(20, stepped());
    EXPECT_EQ(m.clock.count().value, 1u);
    EXPECT_EQ(m.engine->state().rip, target);
  }
}

}  // namespace
}  // namespace rondo
