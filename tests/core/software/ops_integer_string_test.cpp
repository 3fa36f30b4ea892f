// String instructions: overlap, faults and interruptions in the middle, segments, address sizes.
#include <algorithm>
#include <numeric>

#include "tests/core/software/ops_integer_machine.h"

namespace rondo::testing {
namespace {

constexpr u64 kData = TestMachine::kData, kCode = TestMachine::kCode;

INSTANTIATE_TEST_SUITE_P(String, IntegerOps, ::testing::Values(false, true),
                         [](const auto& drive) { return drive.param ? "step" : "run"; });

std::vector<u8> counting(u64 count) {
  std::vector<u8> v(count);
  std::iota(v.begin(), v.end(), u8{1});
  return v;
}

CpuState copy_state(u64 from, u64 to, u64 count) {
  CpuState s = ExceptionMachine::start();
  s.gpr[RSI] = from;
  s.gpr[RDI] = to;
  s.gpr[RCX] = count;
  return s;
}

// What the element-by-element loop does (SDM 2B, MOVS).
void reference_copy(std::vector<u8>& memory, i64 from, i64 to, unsigned size, u64 count, bool down) {
  for (u64 i = 0; i < count; ++i) {
    u8 element[8];
    for (unsigned b = 0; b < size; ++b) element[b] = memory[static_cast<u64>(from) + b];
    for (unsigned b = 0; b < size; ++b) memory[static_cast<u64>(to) + b] = element[b];
    from += down ? -i64{size} : i64{size};
    to += down ? -i64{size} : i64{size};
  }
}

TEST_P(IntegerOps, RepMovsOverlapsAsTheLoopWould) {
  constexpr u64 kArea = 3 * kPageSize;
  for (const unsigned size : {1u, 8u}) {
    for (const int distance : {-9, -8, -1, 0, 1, 3, 8, 9, 64}) {
      for (const bool down : {false, true}) {
        std::vector<u8> expected = counting(kArea);
        machine.load(expected, kData);
        const u64 count = 5000 / size;  // crosses pages
        const u64 from = down ? kArea - 600 : 500;
        CpuState s = copy_state(kData + from, kData + from + static_cast<u64>(i64{distance}), count);
        if (down) s.rflags |= flags::DF;
        if (size == 1)
          execute({0xf3, 0xa4}, s);
        else
          execute({0xf3, 0x48, 0xa5}, s);
        reference_copy(expected, static_cast<i64>(from), static_cast<i64>(from) + distance, size, count, down);
        EXPECT_EQ(machine.bytes(kData, kArea), expected)
            << size << " bytes, distance " << distance << (down ? ", down" : "");
        EXPECT_EQ(gpr(RCX), 0u);
        EXPECT_EQ(machine.after().rip, kCode + (size == 1 ? 2 : 3));
      }
    }
  }
}

TEST_P(IntegerOps, LongRepCountsOnce) {
  constexpr u64 kCount = 200'000;  // more than one entry's budget
  CpuState s = copy_state(0, kData, kCount);
  s.gpr[RAX] = 0x5a;
  const u64 before = machine.clock.count().value;
  execute({0xf3, 0xaa}, s);  // rep stosb
  EXPECT_EQ(machine.clock.count().value, before + 1);
  EXPECT_EQ(gpr(RCX), 0u);
  EXPECT_EQ(gpr(RDI), kData + kCount);
  EXPECT_EQ(machine.bytes(kData, kCount), std::vector<u8>(kCount, 0x5a));
}

TEST_P(IntegerOps, ZeroCountChangesNothing) {
  CpuState s = copy_state(ExceptionMachine::kHole, ExceptionMachine::kHole, 0);
  EXPECT_EQ(execute({0xf3, 0xa4}, s).vector, -1);
  s.gpr[RSI] = s.gpr[RDI] = 0xffffffff00001000;
  s.gpr[RCX] = 0xffffffff00000000;
  EXPECT_EQ(execute({0x67, 0xf3, 0xa4}, s).vector, -1);  // ECX is zero
  EXPECT_EQ(gpr(RCX), 0xffffffff00000000u);
  EXPECT_EQ(gpr(RSI), 0xffffffff00001000u);
}

TEST_P(IntegerOps, PageFaultInTheMiddleOfRepMovs) {
  const CpuState s = copy_state(kData, ExceptionMachine::kHole - 24, 10);
  machine.load(counting(80), kData);
  const Exception e = execute({0xf3, 0x48, 0xa5}, s);
  EXPECT_EQ(e.vector, int{kPF});
  EXPECT_EQ(e.error_code, pf::W);
  EXPECT_EQ(e.rip, kCode);
  EXPECT_EQ(machine.after().cr2, ExceptionMachine::kHole);
  EXPECT_EQ(gpr(RCX), 7u);
  EXPECT_EQ(gpr(RSI), kData + 24);
  EXPECT_EQ(gpr(RDI), ExceptionMachine::kHole);
  EXPECT_EQ(machine.bytes(ExceptionMachine::kHole - 24, 24), counting(24));
}

TEST_P(IntegerOps, PageFaultOnTheSourceLeavesTheDestination) {
  machine.load(std::vector<u8>(16, 0xee), kData);
  const Exception e = execute({0xf3, 0xa4}, copy_state(ExceptionMachine::kHole - 3, kData, 16));
  EXPECT_EQ(e.vector, int{kPF});
  EXPECT_EQ(e.error_code, 0u);
  EXPECT_EQ(gpr(RCX), 13u);
  EXPECT_EQ(machine.bytes(kData + 3, 13), std::vector<u8>(13, 0xee));
}

TEST_P(IntegerOps, TrapFlagStopsAfterEachElement) {
  CpuState s = copy_state(kData, kData + 0x100, 5);
  s.rflags |= flags::TF;
  const Exception e = execute({0xf3, 0xa4, 0x90}, s, 10);
  EXPECT_EQ(e.vector, int{kDB});
  EXPECT_EQ(e.rip, kCode);  // not complete
  EXPECT_EQ(gpr(RCX), 4u);
  EXPECT_EQ(gpr(RSI), kData + 1);
}

TEST_P(IntegerOps, RepStosOverItsSuccessor) {
  // The bytes after the instruction become INC EAX (ff c0): the store must reach what is already decoded.
  CpuState s = copy_state(0, kCode + 3, 3);
  s.gpr[RAX] = 0x9090c0ff;
  EXPECT_EQ(execute({0xf3, 0xab, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, s, 2).vector, -1);
  EXPECT_EQ(gpr(RAX), 0x9090c0ffu);  // the NOP at +2 is still there
  machine.run(1, stepped());
  EXPECT_EQ(gpr(RAX), 0x9090c100u);
}

TEST_P(IntegerOps, LongRepStosOverItsSuccessor) {
  CpuState s = copy_state(0, kCode + 2, 256);
  s.gpr[RAX] = 0xc1ffc1ff;  // inc ecx, twice
  std::vector<u8> code{0xf3, 0xab};
  while (code.size() < 1026) code.insert(code.end(), {0x31, 0xc9});  // xor ecx, ecx: must not run
  machine.load(code);
  EXPECT_EQ(execute({0xf3, 0xab}, s, 11).vector, -1);
  EXPECT_EQ(gpr(RCX), 10u);
}

TEST_P(IntegerOps, RepeCmpsStopsAtTheDifference) {
  std::vector<u8> text = counting(6000);
  machine.load(text, kData);
  text[5001] ^= 0x80;
  machine.load(text, kData + 0x10000);
  execute({0xf3, 0xa6}, copy_state(kData, kData + 0x10000, 6000));
  EXPECT_EQ(gpr(RCX), 6000u - 5002);
  EXPECT_EQ(gpr(RSI), kData + 5002);
  EXPECT_EQ(gpr(RDI), kData + 0x10000 + 5002);
  EXPECT_FALSE(machine.after().rflags & flags::ZF);
  execute({0xf3, 0xa6}, copy_state(kData, kData + 0x10000, 5001));
  EXPECT_EQ(gpr(RCX), 0u);
  EXPECT_TRUE(machine.after().rflags & flags::ZF);
}

TEST_P(IntegerOps, RepneScasFindsTheTerminator) {
  std::vector<u8> text(5000, 'x');
  text[4500] = 0;
  machine.load(text, kData);
  CpuState s = copy_state(0, kData, ~u64{0});
  execute({0xf2, 0xae}, s);
  EXPECT_EQ(gpr(RDI), kData + 4501);
  EXPECT_EQ(gpr(RCX), ~u64{4501});
  EXPECT_TRUE(machine.after().rflags & flags::ZF);
}

TEST_P(IntegerOps, RepScasLongerThanOneEntry) {
  machine.load(std::vector<u8>(150'000, 7), kData);
  CpuState s = copy_state(0, kData, 150'000);
  s.gpr[RAX] = 7;
  const u64 before = machine.clock.count().value;
  execute({0xf3, 0xae}, s);
  EXPECT_EQ(machine.clock.count().value, before + 1);
  EXPECT_EQ(gpr(RCX), 0u);
  EXPECT_TRUE(machine.after().rflags & flags::ZF);
}

TEST_P(IntegerOps, AddressSizeTruncatesAndExtends) {
  CpuState s = copy_state(0xffffffff00000000 | kData, 0xffffffff00000000 | (kData + 0x100), 0xffffffff00000002);
  machine.load(counting(2), kData);
  execute({0x67, 0xf3, 0xa4}, s);
  EXPECT_EQ(machine.bytes(kData + 0x100, 2), counting(2));
  EXPECT_EQ(gpr(RCX), 0u);
  EXPECT_EQ(gpr(RSI), kData + 2);
  EXPECT_EQ(gpr(RDI), kData + 0x102);
}

TEST_P(IntegerOps, SourceSegmentOverride) {
  CpuState s = copy_state(0x40, kData, 0);
  s.segment[FS].base = kData + 0x1000;
  machine.put(kData + 0x1040, 0x1122334455667788);
  execute({0x64, 0x48, 0xad}, s);  // lods qword fs:[rsi]
  EXPECT_EQ(gpr(RAX), 0x1122334455667788u);
  EXPECT_EQ(gpr(RSI), 0x48u);
}

// 32-bit code in a flat code segment, data segments of 0x100 bytes at kData (ES) and kData + 0x1000 (DS).
CpuState segmented_state() {
  CpuState s = ExceptionMachine::start();
  s.segment[CS].l = false;
  s.segment[CS].db = true;
  s.segment[DS].base = kData + 0x1000;
  s.segment[ES].base = kData;
  s.segment[DS].limit = s.segment[ES].limit = 0xff;
  return s;
}

TEST_P(IntegerOps, SegmentLimitEndsRepMovs) {
  CpuState s = segmented_state();
  s.gpr[RSI] = 0;
  s.gpr[RDI] = 0xf0;
  s.gpr[RCX] = 0x20;
  machine.load(counting(0x20), kData + 0x1000);
  machine.load(std::vector<u8>(0x20, 0), kData + 0xf0);
  const Exception e = execute({0xf3, 0xa4}, s);
  EXPECT_EQ(e.vector, int{kGP});
  EXPECT_EQ(gpr(RCX), 0x10u);
  EXPECT_EQ(gpr(RDI), 0x100u);
  EXPECT_EQ(machine.bytes(kData + 0xf0, 0x10), counting(0x10));
  EXPECT_EQ(machine.bytes(kData + 0x100, 0x10), std::vector<u8>(0x10, 0));
}

TEST_P(IntegerOps, SixteenBitAddressesWrap) {
  CpuState s = segmented_state();
  s.segment[ES].limit = 0xffff;
  s.gpr[RDI] = 0xabcdfffe;
  s.gpr[RCX] = 0xabcd0004;
  s.gpr[RAX] = 0x77;
  execute({0x67, 0xf3, 0xaa}, s);  // rep stosb es:[di]
  EXPECT_EQ(gpr(RDI), 0xabcd0002u);
  EXPECT_EQ(gpr(RCX), 0xabcd0000u);
  EXPECT_EQ(machine.bytes(kData + 0xfffe, 2), std::vector<u8>(2, 0x77));
  EXPECT_EQ(machine.bytes(kData, 2), std::vector<u8>(2, 0x77));
}

}  // namespace
}  // namespace rondo::testing
