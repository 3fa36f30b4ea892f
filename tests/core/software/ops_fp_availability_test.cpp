// What the comparison with silicon cannot reach for x87, MMX and SSE: control-register bits, deferred exceptions, forms
// of other modes.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/core/software/test_machine.h"

namespace rondo::testing {
namespace {

// A machine whose exceptions end in HLT at an address that names the vector.
class FaultingMachine : public TestMachine {
 public:
  static constexpr u64 kGdt = 0x8000, kIdt = 0x9000, kHandlers = 0x10000;

  FaultingMachine() {
    put(kGdt + 0x10, 0x00af9b000000ffff);  // 64-bit code
    put(kGdt + 0x18, 0x00cf93000000ffff);  // data
    put(kGdt + 0x20, 0x00cf9b000000ffff);  // 32-bit code
    for (u64 v = 0; v < 32; ++v) {
      const u64 target = kHandlers + 16 * v;
      put(kIdt + 16 * v, (target & 0xffff) | u64{0x10} << 16 | u64{0x8e00} << 32 | (target >> 16) << 48);
      put(kIdt + 16 * v + 8, target >> 32);
      const u8 halt = 0xf4;
      memory->write(GuestPhys{target}, {&halt, 1});
    }
  }

  void put(u64 address, u64 value) { memory->write(GuestPhys{address}, {reinterpret_cast<const u8*>(&value), 8}); }
  template <class T>
  T get(u64 address) {
    T value;
    memory->read(GuestPhys{address}, {reinterpret_cast<u8*>(&value), sizeof value});
    return value;
  }

  static CpuState state() {
    CpuState s = long_mode();
    s.gdtr = {kGdt, 0x2f};
    s.idtr = {kIdt, 0x1ff};
    s.gpr[RBX] = kData;
    return s;
  }

  // Runs `code` (then HLT) from `s`; the vector of the fault that it ended in, or -1.
  int vector_of(const CpuState& s, std::vector<u8> code) {
    code.push_back(0xf4);
    load(code);
    engine->set_state(s);
    run(1000);
    const u64 rip = engine->state().rip;
    return rip >= kHandlers && rip < kHandlers + 16 * 32 ? static_cast<int>((rip - kHandlers) / 16) : -1;
  }
};

const std::vector<u8> kAddps = {0x0f, 0x58, 0xc1}, kPaddb = {0x0f, 0xfc, 0xc1}, kFld1 = {0xd9, 0xe8}, kWait = {0x9b},
                      kEmms = {0x0f, 0x77}, kFxsave = {0x0f, 0xae, 0x03}, kMovupsLoad = {0x0f, 0x10, 0x03},
                      kMovdq2q = {0xf2, 0x0f, 0xd6, 0xc1}, kCrc32 = {0xf2, 0x0f, 0x38, 0xf1, 0xc1};

struct Availability {
  u64 set_cr0, clear_cr4;
  int sse, mmx, x87, wait;
};

TEST(FpAvailability, ControlRegisterBits) {
  const Availability rows[] = {
      {0, 0, -1, -1, -1, -1},
      {cr0::EM, 0, kUD, kUD, kNM, -1},
      {cr0::TS, 0, kNM, kNM, kNM, kNM},  // MP is set
      {cr0::EM | cr0::TS, 0, kUD, kUD, kNM, kNM},
      {0, cr4::OSFXSR, kUD, -1, -1, -1},
      {cr0::TS, cr4::OSFXSR, kUD, kNM, kNM, kNM},
  };
  FaultingMachine m;
  for (const Availability& row : rows) {
    CpuState s = FaultingMachine::state();
    s.cr0 |= row.set_cr0;
    s.cr4 &= ~row.clear_cr4;
    EXPECT_EQ(m.vector_of(s, kAddps), row.sse);
    EXPECT_EQ(m.vector_of(s, kMovupsLoad), row.sse);
    EXPECT_EQ(m.vector_of(s, kPaddb), row.mmx);
    EXPECT_EQ(m.vector_of(s, kEmms), row.mmx);
    EXPECT_EQ(m.vector_of(s, kMovdq2q), row.sse);
    EXPECT_EQ(m.vector_of(s, kFld1), row.x87);
    EXPECT_EQ(m.vector_of(s, kFxsave), row.x87);
    EXPECT_EQ(m.vector_of(s, kWait), row.wait);
    EXPECT_EQ(m.vector_of(s, kCrc32), -1);
  }
  CpuState s = FaultingMachine::state();
  s.cr0 = (s.cr0 | cr0::TS) & ~cr0::MP;
  EXPECT_EQ(m.vector_of(s, kWait), -1);
}

TEST(FpAvailability, SimdExceptions) {
  FaultingMachine m;
  CpuState s = FaultingMachine::state();
  s.mxcsr = 0x1f80 & ~0x200u;               // #Z unmasked
  s.xmm[0].lane = {0x3f8000003f800000, 0};  // 1, 1, 0, 0
  const std::vector<u8> divps = {0x0f, 0x5e,
                                 0xc1};  // xmm0 / xmm1, xmm1 = 0: #Z in lanes 0 and 1, #I (masked) in 2 and 3
  EXPECT_EQ(m.vector_of(s, divps), kXM);
  EXPECT_EQ(m.engine->state().xmm[0], s.xmm[0]);
  EXPECT_EQ(m.engine->state().mxcsr, s.mxcsr | 5);
  s.cr4 &= ~cr4::OSXMMEXCPT;
  EXPECT_EQ(m.vector_of(s, divps), kUD);
  s.mxcsr = 0x1f80;
  EXPECT_EQ(m.vector_of(s, divps), -1);
  EXPECT_EQ(m.engine->state().mxcsr, 0x1f85u);
}

TEST(FpAvailability, PendingX87Exceptions) {
  FaultingMachine m;
  CpuState s = FaultingMachine::state();
  s.fpu.control = 0x037b;  // #Z unmasked
  // fld1; fldz; fdivp: pending, not delivered
  const std::vector<u8> divide = {0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9};
  EXPECT_EQ(m.vector_of(s, divide), -1);
  EXPECT_EQ(m.engine->state().fpu.status & 0x80bf, 0x8084);
  EXPECT_EQ(m.engine->state().fpu.valid, 0xc0);  // nothing popped, nothing written
  auto followed_by = [&](std::vector<u8> next) {
    std::vector<u8> code = divide;
    code.insert(code.end(), next.begin(), next.end());
    return m.vector_of(s, code);
  };
  EXPECT_EQ(followed_by({0x9b}), kMF);              // fwait
  EXPECT_EQ(followed_by({0xd9, 0xe8}), kMF);        // fld1
  EXPECT_EQ(followed_by({0x0f, 0xfc, 0xc1}), kMF);  // paddb mm0, mm1
  EXPECT_EQ(followed_by({0xdb, 0xe2}), -1);         // fnclex
  EXPECT_EQ(followed_by({0xdf, 0xe0}), -1);         // fnstsw ax
  EXPECT_EQ(followed_by({0xdb, 0xe3}), -1);         // fninit
  EXPECT_EQ(followed_by({0xdb, 0xe2, 0x9b}), -1);
}

// fnstenv after `fld1; fadd dword [..]`, in real mode: linear addresses beside the opcode.
TEST(X87Environment, RealModeLayouts) {
  TestMachine m;
  CpuState s = CpuState::at_reset();
  for (Segment& segment : s.segment) segment.selector = 0, segment.base = 0;
  s.segment[CS].selector = 0x1000, s.segment[CS].base = 0x10000;
  s.segment[DS].selector = 0x2000, s.segment[DS].base = 0x20000;
  s.rip = 0x100;
  // fld dword [0x1234]; fnstenv [0x40]; o32 fnstenv [0x80]; hlt
  m.load({0xd9, 0x06, 0x34, 0x12, 0xd9, 0x36, 0x40, 0x00, 0x66, 0xd9, 0x36, 0x80, 0x00, 0xf4}, 0x10100);
  m.engine->set_state(s);
  m.run(10);
  auto word = [&](u64 address) {
    u16 value = 0;
    m.memory->read(GuestPhys{address}, {reinterpret_cast<u8*>(&value), 2});
    return value;
  };
  EXPECT_EQ(word(0x20040), 0x037f);
  EXPECT_EQ(word(0x20042), 0x3800);
  EXPECT_EQ(word(0x20046), 0x0100);          // 10100h
  EXPECT_EQ(word(0x20048), 0x1000 | 0x106);  // bits 19:16, opcode of D9 06
  EXPECT_EQ(word(0x2004a), 0x1234);          // 21234h
  EXPECT_EQ(word(0x2004c), 0x2000);
  EXPECT_EQ(word(0x2008c), 0x0100);
  EXPECT_EQ(word(0x20090), 0x1000 | 0x106);
  EXPECT_EQ(word(0x20094), 0x1234);
  EXPECT_EQ(word(0x20098), 0x2000);
  EXPECT_EQ(m.engine->state().fpu.control & 0x3f, 0x3f);
}

// FXSAVE in 32-bit code leaves the places of XMM8 to XMM15 alone.
TEST(Fxsave, CompatibilityMode) {
  FaultingMachine m;
  CpuState s = FaultingMachine::state();
  s.segment[CS].l = false;
  s.segment[CS].db = true;
  s.segment[CS].selector = 0x20;
  for (unsigned i = 0; i < 16; ++i) s.xmm[i].lane = {0x1111 * (i + 1), i};
  for (u64 i = 0; i < 64; ++i) m.put(TestMachine::kData + 8 * i, ~u64{0});
  EXPECT_EQ(m.vector_of(s, kFxsave), -1);
  EXPECT_EQ(m.get<u64>(TestMachine::kData + 160 + 16 * 7), u64{0x1111} * 8);
  EXPECT_EQ(m.get<u64>(TestMachine::kData + 160 + 16 * 8), ~u64{0});
  EXPECT_EQ(m.get<u32>(TestMachine::kData + 28), 0xffffu);
  s.gpr[RBX] += 8;
  EXPECT_EQ(m.vector_of(s, kFxsave), kGP);
}

// Handlers whose soft paths keep state on the host's stack must still leave it when they go on to the next one.
TEST(FpHandlers, SoftPathsNeedNoStack) {
  TestMachine m;
  // l: ucomisd xmm0, xmm1; comisd xmm0, [rbx]; addsd xmm2, xmm1; mulps xmm3, [rbx]; rcpps xmm4, xmm1; rsqrtss xmm4,
  // xmm1;
  //    cvtsi2ss xmm5, rax; cvttsd2si eax, xmm1; cvtsd2ss xmm5, xmm1; movups xmm6, [rbx+1]; paddb mm0, [rbx]; fld1; fstp
  //    st0; jmp l
  m.load({0x66, 0x0f, 0x2e, 0xc1, 0x66, 0x0f, 0x2f, 0x03, 0xf2, 0x0f, 0x58, 0xd1, 0x0f, 0x59, 0x1b, 0x0f,
          0x53, 0xe1, 0xf3, 0x0f, 0x52, 0xe1, 0xf3, 0x48, 0x0f, 0x2a, 0xe8, 0xf2, 0x0f, 0x2c, 0xc1, 0xf2,
          0x0f, 0x5a, 0xe9, 0x0f, 0x10, 0x73, 0x01, 0x0f, 0xfc, 0x03, 0xd9, 0xe8, 0xdd, 0xd8, 0xeb, 0xd0});
  CpuState s = TestMachine::long_mode(3);
  s.gpr[RBX] = TestMachine::kData;
  s.xmm[1].lane = {0x7ff4000000000001, 0x7fa000007fa00000};  // NaNs
  m.engine->set_state(s);
  constexpr u64 kInstructions = 3'000'000;  // at 16 bytes each: more than any stack
  m.run(kInstructions);
  EXPECT_EQ(m.clock.count().value, kInstructions);
  EXPECT_EQ(m.engine->state().rip >= TestMachine::kCode && m.engine->state().rip < TestMachine::kCode + 0x40, true);
}

}  // namespace
}  // namespace rondo::testing
