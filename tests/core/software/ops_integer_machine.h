// A TestMachine whose exceptions end in a HLT, one per vector, so that a test can see which one came and what it saved.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "tests/core/software/test_machine.h"

namespace rondo::testing {

struct Exception {
  int vector = -1;  // -1: none
  u64 error_code = 0;
  u64 rip = 0;
  u64 rflags = 0;
};

class ExceptionMachine : public TestMachine {
 public:
  static constexpr u64 kIdt = 0x8000, kGdt = 0x9000, kTss = 0xa000, kHandlers = 0x10000;
  static constexpr u64 kHandlerStack = 0xa00000;  // also for exceptions from CPL 0: all gates use IST 1
  static constexpr u64 kHole = 0x400000;          // 2 MB that are not present
  static constexpr u64 kReadOnly = 0x600000;      // 2 MB that are not writable

  ExceptionMachine() {
    // Gates (SDM 3A 6.14.1), IST 1, 64-bit interrupt gate.
    for (u64 v = 0; v < 32; ++v) {
      const u64 target = kHandlers + 16 * v;
      put(kIdt + 16 * v,
          (target & 0xffff) | 0x10u << 16 | u64{1} << 32 | u64{0x8e00} << 32 | (target >> 16 & 0xffff) << 48);
      put(kIdt + 16 * v + 8, 0);
      put(target, 0xf4);
    }
    put(kGdt + 0x10, 0x00af9b000000ffff);  // 64-bit code, DPL 0
    put(kGdt + 0x18, 0x00cf93000000ffff);
    put(kTss + 0x24, kHandlerStack);  // IST 1
    put(kTables + 0x2000 + 8 * (kHole >> 21), 0);
    put(kTables + 0x2000 + 8 * (kReadOnly >> 21), kReadOnly | 0x85);
  }

  static CpuState start(u8 cpl = 0) {
    CpuState s = long_mode(cpl);
    s.gdtr = {kGdt, 0xff};
    s.idtr = {kIdt, 0x1ff};
    s.tr = {.selector = 0x28, .base = kTss, .limit = 0x67, .type = 11, .s = false, .present = true};
    return s;
  }

  void put(u64 address, u64 value) { memory->write(GuestPhys{address}, {reinterpret_cast<const u8*>(&value), 8}); }
  u64 get(u64 address) const {
    u64 value = 0;
    memory->read(GuestPhys{address}, {reinterpret_cast<u8*>(&value), 8});
    return value;
  }
  std::vector<u8> bytes(u64 address, u64 count) const {
    std::vector<u8> out(count);
    memory->read(GuestPhys{address}, out);
    return out;
  }

  // Runs `code` from `state` until `instructions` have retired or an exception's handler halts.
  Exception execute(std::initializer_list<u8> code, const CpuState& state, u64 instructions, bool stepped) {
    load(code, state.segment[CS].base + state.rip);
    engine->set_state(state);
    run(instructions, stepped);
    const CpuState after = engine->state();
    if (after.rip < kHandlers || after.rip >= kHandlers + 16 * 32) return {};
    Exception e;
    e.vector = static_cast<int>((after.rip - kHandlers) / 16);
    const bool has_code = e.vector == kDF || (e.vector >= kTS && e.vector <= kPF) || e.vector == kAC;
    u64 frame = after.gpr[RSP];
    if (has_code) {
      e.error_code = get(frame);
      frame += 8;
    }
    e.rip = get(frame);
    e.rflags = get(frame + 16);
    return e;
  }
  const CpuState after() const { return engine->state(); }
};

// Every test runs under both drives.
class IntegerOps : public ::testing::TestWithParam<bool> {
 protected:
  bool stepped() const { return GetParam(); }
  Exception execute(std::initializer_list<u8> code, const CpuState& state, u64 instructions = 1) {
    return machine.execute(code, state, instructions, stepped());
  }
  u64 gpr(unsigned n) const { return machine.after().gpr[n]; }
  ExceptionMachine machine;
};

}  // namespace rondo::testing
