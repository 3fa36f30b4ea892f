// Integer instructions where state beyond operands and flags matters: faults, the stack, privileges, 32-bit code.
#include "tests/core/software/ops_integer_machine.h"

namespace rondo::testing {
namespace {

constexpr u64 kData = TestMachine::kData, kCode = TestMachine::kCode, kStack = TestMachine::kStack;

using IntegerFaults = IntegerOps;
INSTANTIATE_TEST_SUITE_P(Integer, IntegerFaults, ::testing::Values(false, true),
                         [](const auto& drive) { return drive.param ? "step" : "run"; });

// After a fault every register but RSP (the handler's stack), RIP and CR2 must be as before.
void expect_unchanged(const CpuState& before, const CpuState& after) {
  for (unsigned n = 0; n < 16; ++n) {
    if (n != RSP) {
      EXPECT_EQ(after.gpr[n], before.gpr[n]) << "register " << n;
    }
  }
}

TEST_P(IntegerFaults, DivideErrors) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RAX] = 5;
  s.gpr[RDX] = 0;
  s.gpr[RCX] = 0;
  EXPECT_EQ(execute({0x48, 0xf7, 0xf1}, s).vector, int{kDE});  // div rcx
  expect_unchanged(s, machine.after());
  s.gpr[RAX] = u64{1} << 63;
  s.gpr[RDX] = ~u64{0};
  s.gpr[RCX] = ~u64{0};
  EXPECT_EQ(execute({0x48, 0xf7, 0xf9}, s).vector, int{kDE});  // idiv rcx: -2^63 / -1
  expect_unchanged(s, machine.after());
  s.gpr[RAX] = 0x80000000;
  s.gpr[RDX] = 0xffffffff;
  EXPECT_EQ(execute({0xf7, 0xf9}, s).vector, int{kDE});  // idiv ecx
  s.gpr[RDX] = 0;
  s.gpr[RCX] = 2;
  s.gpr[RBX] = 0;
  EXPECT_EQ(execute({0xf7, 0xf1}, s).vector, -1);
  EXPECT_EQ(gpr(RAX), 0x40000000u);
}

TEST_P(IntegerFaults, ReadModifyWriteNeedsWriteAccess) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RBX] = ExceptionMachine::kReadOnly;
  s.gpr[RAX] = 1;
  s.gpr[RCX] = 0;
  s.rflags |= flags::CF;
  const std::initializer_list<u8> cases[] = {
      {0x01, 0x03},              // add [rbx], eax
      {0xff, 0x03},              // inc dword [rbx]
      {0xd3, 0x23},              // shl dword [rbx], cl: a count of zero
      {0x87, 0x03},              // xchg [rbx], eax
      {0x0f, 0xb1, 0x0b},        // cmpxchg [rbx], ecx: no match, still a write
      {0x48, 0x0f, 0xc7, 0x0b},  // cmpxchg16b [rbx]
      {0x0f, 0xab, 0x0b},        // bts [rbx], ecx
      {0x0f, 0x92, 0x03},        // setb [rbx]
  };
  for (const auto& code : cases) {
    const Exception e = execute(code, s);
    EXPECT_EQ(e.vector, int{kPF});
    EXPECT_EQ(e.error_code, pf::P | pf::W);
    EXPECT_EQ(e.rip, kCode);
    EXPECT_TRUE(e.rflags & flags::CF);
    expect_unchanged(s, machine.after());
  }
  EXPECT_EQ(execute({0x39, 0x03}, s).vector, -1);        // cmp
  EXPECT_EQ(execute({0x0f, 0xa3, 0x0b}, s).vector, -1);  // bt
}

TEST_P(IntegerFaults, CompareExchange16BytesMustBeAligned) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RBX] = kData + 8;
  EXPECT_EQ(execute({0x48, 0x0f, 0xc7, 0x0b}, s).vector, int{kGP});
  EXPECT_EQ(execute({0x0f, 0xc7, 0x0b}, s).vector, -1);  // 8 bytes need no alignment
  machine.put(kData, 11);
  machine.put(kData + 8, 22);
  s.gpr[RBX] = 33;
  s.gpr[RCX] = 44;
  s.gpr[RSI] = kData;
  EXPECT_EQ(execute({0x48, 0x0f, 0xc7, 0x0e}, s).vector, -1);
  EXPECT_EQ(gpr(RAX), 11u);
  EXPECT_EQ(gpr(RDX), 22u);
  EXPECT_FALSE(machine.after().rflags & flags::ZF);
  s.gpr[RAX] = 11;
  s.gpr[RDX] = 22;
  EXPECT_EQ(execute({0x48, 0x0f, 0xc7, 0x0e}, s).vector, -1);
  EXPECT_EQ(machine.get(kData), 33u);
  EXPECT_EQ(machine.get(kData + 8), 44u);
  EXPECT_TRUE(machine.after().rflags & flags::ZF);
}

TEST_P(IntegerFaults, StackPointerAsOperand) {
  CpuState s = ExceptionMachine::start();
  EXPECT_EQ(execute({0x54}, s).vector, -1);  // push rsp: the old value
  EXPECT_EQ(machine.get(kStack - 8), kStack);
  machine.put(kStack, 0x1234);
  execute({0x5c}, s);  // pop rsp: the popped value
  EXPECT_EQ(gpr(RSP), 0x1234u);
  execute({0x8f, 0x44, 0x24, 0x08}, s);  // pop [rsp+8]: with RSP incremented
  EXPECT_EQ(machine.get(kStack + 16), 0x1234u);
  execute({0x66, 0x50}, s);  // push ax
  EXPECT_EQ(gpr(RSP), kStack - 2);
}

TEST_P(IntegerFaults, FaultingStackInstructionsKeepTheStackPointer) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RBX] = ExceptionMachine::kHole;
  s.gpr[RBP] = 1;
  // The saved RSP lies above RIP, CS and RFLAGS on the handler's stack.
  const auto saved_rsp = [&] { return machine.get(machine.after().gpr[RSP] + 8 + 24); };
  EXPECT_EQ(execute({0x8f, 0x03}, s).vector, int{kPF});  // pop [rbx]
  EXPECT_EQ(saved_rsp(), kStack);
  s.gpr[RSP] = ExceptionMachine::kHole + 8;
  EXPECT_EQ(execute({0x50}, s).vector, int{kPF});
  EXPECT_EQ(saved_rsp(), ExceptionMachine::kHole + 8);
  s.gpr[RSP] = ExceptionMachine::kHole + 0x200000 + 8;
  EXPECT_EQ(execute({0xc8, 0x10, 0x00, 0x02}, s).vector, int{kPF});  // enter 16, 2
  EXPECT_EQ(saved_rsp(), ExceptionMachine::kHole + 0x200000 + 8);
  EXPECT_EQ(gpr(RBP), 1u);
  s.gpr[RSP] = u64{1} << 47;
  EXPECT_EQ(execute({0x58}, s).vector, int{kSS});  // pop rax from a non-canonical address
}

TEST_P(IntegerFaults, EnterNestsAndLeaveUndoes) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RBP] = kData + 0x100;
  machine.put(kData + 0xf8, 0xaaaa);  // the enclosing frames' pointers
  machine.put(kData + 0xf0, 0xbbbb);
  execute({0xc8, 0x20, 0x00, 0x03}, s);  // enter 32, 3
  EXPECT_EQ(machine.get(kStack - 8), kData + 0x100);
  EXPECT_EQ(machine.get(kStack - 16), 0xaaaau);
  EXPECT_EQ(machine.get(kStack - 24), 0xbbbbu);
  EXPECT_EQ(machine.get(kStack - 32), kStack - 8);
  EXPECT_EQ(gpr(RBP), kStack - 8);
  EXPECT_EQ(gpr(RSP), kStack - 32 - 32);
  execute({0xc9}, machine.after());
}

TEST_P(IntegerFaults, PopfObeysPrivileges) {
  constexpr u64 kAll = flags::kArithmetic | flags::IF | flags::DF | flags::IOPL | flags::NT | flags::AC | flags::ID;
  machine.put(kStack, kAll | flags::RF | flags::VM | flags::VIF | flags::VIP);
  CpuState s = ExceptionMachine::start(3);
  execute({0x9d}, s);
  EXPECT_EQ(machine.after().rflags & (kAll | flags::RF | flags::VM | flags::VIF | flags::VIP),
            kAll & ~(flags::IF | flags::IOPL));
  s = ExceptionMachine::start(0);
  execute({0x9d}, s);
  EXPECT_EQ(machine.after().rflags & (kAll | flags::RF | flags::VM | flags::VIF | flags::VIP), kAll);
  execute({0x66, 0x9d}, s);
  EXPECT_EQ(machine.after().rflags & kAll, kAll & ~(flags::AC | flags::ID));
  EXPECT_EQ(gpr(RSP), kStack + 2);
}

TEST_P(IntegerFaults, PopfThatEnablesInterruptsDeliversThem) {
  machine.put(kStack, flags::IF | flags::FIXED1);
  machine.interrupts.pending = true;
  machine.interrupts.vector = 20;
  const Exception e = execute({0x9d, 0x90, 0x90, 0x90}, ExceptionMachine::start(), 3);
  EXPECT_EQ(e.vector, 20);
  EXPECT_EQ(e.rip, kCode + 1);
}

TEST_P(IntegerFaults, BitStringsReachBackAndForth) {
  CpuState s = ExceptionMachine::start();
  machine.put(kData + 0x1000 - 8, 0);
  machine.put(kData + 0x2000, 0);
  s.gpr[RBX] = kData + 0x1000;
  s.gpr[RCX] = static_cast<u64>(-3);
  execute({0x48, 0x0f, 0xab, 0x0b}, s);  // bts [rbx], rcx
  EXPECT_EQ(machine.get(kData + 0x1000 - 8), u64{1} << 61);
  s.gpr[RCX] = 0x1000 * 8 + 5;
  execute({0x0f, 0xab, 0x0b}, s);
  EXPECT_EQ(machine.get(kData + 0x2000), u64{1} << 5);
}

CpuState protected32() {
  CpuState s = ExceptionMachine::start();
  s.segment[CS].l = false;
  s.segment[CS].db = true;
  return s;
}

TEST_P(IntegerFaults, DecimalAdjustment) {
  CpuState s = protected32();
  s.gpr[RAX] = 0xae;
  execute({0x27}, s);  // daa (the manual's example, SDM 2A)
  EXPECT_EQ(gpr(RAX), 0x14u);
  EXPECT_TRUE(machine.after().rflags & flags::CF);
  s.gpr[RAX] = 0x0205;
  execute({0xd5, 0x0a}, s);  // aad
  EXPECT_EQ(gpr(RAX), 25u);
  s.gpr[RAX] = 99;
  execute({0xd4, 0x0a}, s);  // aam
  EXPECT_EQ(gpr(RAX), 0x0909u);
  EXPECT_EQ(execute({0xd4, 0x00}, s).vector, int{kDE});
  EXPECT_EQ(gpr(RAX), 99u);
  EXPECT_EQ(execute({0x27}, ExceptionMachine::start()).vector, int{kUD});  // 64-bit mode
}

TEST_P(IntegerFaults, PushaPopaAndBound) {
  CpuState s = protected32();
  for (unsigned n = 0; n < 8; ++n) {
    if (n != RSP) s.gpr[n] = 0x100 + n;
  }
  execute({0x60, 0x31, 0xc0, 0x31, 0xff, 0x61}, s, 4);  // pusha; xor eax, eax; xor edi, edi; popa
  EXPECT_EQ(gpr(RAX), 0x100u);
  EXPECT_EQ(gpr(RDI), 0x107u);
  EXPECT_EQ(gpr(RSP), kStack);
  EXPECT_EQ(machine.get(kStack - 20) & 0xffffffff, kStack);  // ESP as it was
  machine.put(kData, u64{5} << 32 | 0xfffffffe);             // bounds -2 and 5
  s.gpr[RBX] = kData;
  s.gpr[RAX] = 5;
  EXPECT_EQ(execute({0x62, 0x03}, s).vector, -1);
  s.gpr[RAX] = 6;
  EXPECT_EQ(execute({0x62, 0x03}, s).vector, int{kBR});
  s.gpr[RAX] = 0xfffffffd;
  EXPECT_EQ(execute({0x62, 0x03}, s).vector, int{kBR});
}

TEST_P(IntegerFaults, UndefinedOpcodes) {
  EXPECT_EQ(execute({0x0f, 0x0b}, ExceptionMachine::start()).vector, int{kUD});
  EXPECT_EQ(execute({0x0f, 0xff, 0xc0}, ExceptionMachine::start()).vector, int{kUD});
  EXPECT_EQ(execute({0x0f, 0xb9, 0xc0}, ExceptionMachine::start()).vector, int{kUD});
  EXPECT_EQ(execute({0xf0, 0x01, 0xc0}, ExceptionMachine::start()).vector,
            int{kUD});  // LOCK with a register destination
}

TEST_P(IntegerFaults, AccessesThatCrossPages) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RBX] = kData + kPageSize - 3;
  s.gpr[RAX] = 0x1122334455667788;
  execute({0x48, 0x89, 0x03, 0x48, 0x01, 0x03, 0x48, 0x8b, 0x0b}, s,
          3);  // mov [rbx], rax; add [rbx], rax; mov rcx, [rbx]
  EXPECT_EQ(gpr(RCX), 2 * s.gpr[RAX]);
  // The first half is writable, the second is not: nothing is written.
  s.gpr[RBX] = ExceptionMachine::kReadOnly - 4;
  machine.put(s.gpr[RBX] - 4, 0);
  EXPECT_EQ(execute({0x48, 0x01, 0x03}, s).vector, int{kPF});
  EXPECT_EQ(machine.get(s.gpr[RBX] - 4), 0u);
}

}  // namespace
}  // namespace rondo::testing
