// System side of the vCPU below the guests in tests/guests: registers, tables and the end of the exception ladder.
#include <gtest/gtest.h>

#include "core/cpu/cpuid.h"
#include "core/software/system/debug.h"
#include "core/software/system/descriptor.h"
#include "core/software/system/msr.h"
#include "core/software/system/segment.h"
#include "tests/core/software/test_machine.h"

namespace rondo::software {
namespace {

using rondo::testing::SilentInterrupts;
using rondo::testing::TestMachine;

TEST(Descriptor, Fields) {
  const Descriptor code{.low = 0x12af9b3456780123};
  EXPECT_EQ(code.base(), 0x12345678u);
  EXPECT_EQ(code.limit(), 0xf0123fffu);
  EXPECT_TRUE(code.is_code() && code.is_readable() && code.present() && code.l() && !code.db() && code.g());
  EXPECT_FALSE(code.is_conforming() || code.is_writable_data());
  const Descriptor gate{.low = 0x5678ee0700081234, .high = 0xffff8000};
  EXPECT_EQ(gate.gate_offset(), 0xffff800056781234u);
  EXPECT_EQ(gate.gate_selector(), 8);
  EXPECT_EQ(gate.gate_ist(), 7u);
  EXPECT_EQ(gate.dpl(), 3);
  EXPECT_TRUE(gate.is_system(SystemType::interrupt_gate32));
}

TEST(Segment, Limits) {
  const Segment up{.limit = 0xfff};
  EXPECT_TRUE(within_limit(up, 0xffc, 4));
  EXPECT_FALSE(within_limit(up, 0xffd, 4));
  EXPECT_FALSE(within_limit(up, ~u64{0}, 4));
  const Segment down{.limit = 0xfff, .type = 7, .db = false};
  EXPECT_TRUE(within_limit(down, 0x1000, 4));
  EXPECT_FALSE(within_limit(down, 0xfff, 4));
  EXPECT_FALSE(within_limit(down, 0xfffd, 4));
  const Segment whole{.limit = 0xffffffff};
  EXPECT_TRUE(within_limit(whole, 0xfffffffc, 4));
  EXPECT_FALSE(within_limit(whole, 0xfffffffd, 4));
}

class Msr : public ::testing::Test {
 protected:
  Msr() {
    cpu.apic = &interrupts;
    cpu.clock = &clock;
  }
  bool write(u32 index, u64 value) { return write_msr(cpu, index, value); }
  u64 read(u32 index) {
    u64 value = 0xbad;
    EXPECT_TRUE(read_msr(cpu, index, value)) << index;
    return value;
  }
  SilentInterrupts interrupts;
  Clock clock;
  Vcpu cpu;
};

TEST_F(Msr, UnknownOnesFault) {
  u64 value = 0;
  for (const u32 index :
       {0x34u, 0x48u, 0x49u, 0xceu, 0xe7u, 0x140u, 0x186u, 0x345u, 0x606u, 0xc0000085u, 0xc0011029u}) {
    EXPECT_FALSE(read_msr(cpu, index, value)) << index;
    EXPECT_FALSE(write_msr(cpu, index, 0)) << index;
  }
}

TEST_F(Msr, AddressesMustBeCanonical) {
  for (const u32 index : {msr::LSTAR, msr::CSTAR, msr::FS_BASE, msr::GS_BASE, msr::KERNEL_GS_BASE, msr::SYSENTER_ESP,
                          msr::SYSENTER_EIP}) {
    EXPECT_FALSE(write(index, 0x0000800000000000)) << index;
    EXPECT_TRUE(write(index, 0xffff800000000000)) << index;
    EXPECT_EQ(read(index), 0xffff800000000000u);
  }
}

TEST_F(Msr, ReservedBits) {
  EXPECT_FALSE(write(msr::TSC_AUX, u64{1} << 32));
  EXPECT_FALSE(write(msr::SFMASK, u64{1} << 32));
  EXPECT_FALSE(write(msr::PAT, 0x0007040600070402));
  EXPECT_TRUE(write(msr::PAT, 0x0007010600070106));
  EXPECT_FALSE(write(msr::MTRR_PHYSBASE0, 0x100));
  EXPECT_FALSE(write(msr::MTRR_PHYSBASE0 + 1, u64{1} << kPhysicalAddressBits));
  EXPECT_TRUE(write(msr::MTRR_PHYSBASE0 + 1, 0x800));
  EXPECT_FALSE(write(msr::MTRR_DEF_TYPE, 0x1000));
  EXPECT_TRUE(write(msr::MTRR_DEF_TYPE, 0xc06));
  EXPECT_FALSE(write(msr::FEATURE_CONTROL, 1));
  EXPECT_FALSE(write(msr::ARCH_CAPABILITIES, 0));
  EXPECT_EQ(read(msr::BIOS_SIGN_ID) >> 32, kMicrocodeRevision);
}

// SDM 3B 17.17.3: the counter and the adjustment move together.
TEST_F(Msr, TimeStampCounter) {
  clock.set_count(InstrCount{1000});
  EXPECT_EQ(read(msr::TSC), 1000u);
  EXPECT_TRUE(write(msr::TSC, 5000));
  EXPECT_EQ(read(msr::TSC), 5000u);
  EXPECT_EQ(read(msr::TSC_ADJUST), 4000u);
  EXPECT_TRUE(write(msr::TSC_ADJUST, 0));
  EXPECT_EQ(read(msr::TSC), 1000u);
  clock.set_count(InstrCount{1010});
  EXPECT_EQ(read(msr::TSC), 1010u);
}

TEST_F(Msr, BasesReachTheAddresses) {
  EXPECT_TRUE(write(msr::GS_BASE, 0x1234));
  EXPECT_EQ(cpu.slots[segment_slot(GS) / 8], 0x1234u);
}

TEST(Debug, Matching) {
  Vcpu cpu;
  cpu.arch.dr[0] = 0x1003;  // with LEN 4: 0x1000..0x1003
  cpu.arch.dr[1] = 0x2000;
  cpu.arch.dr7 = 0x400 | 1 | 1 << 16 | 3 << 18;  // DR0: 4-byte writes
  EXPECT_EQ(debug_data_match(cpu, 0x1000, 1, true), 1u);
  EXPECT_EQ(debug_data_match(cpu, 0xffd, 4, true), 1u);
  EXPECT_EQ(debug_data_match(cpu, 0xffc, 4, true), 0u);
  EXPECT_EQ(debug_data_match(cpu, 0x1004, 8, true), 0u);
  EXPECT_EQ(debug_data_match(cpu, 0x1000, 4, false), 0u);
  EXPECT_EQ(debug_instruction_match(cpu, 0x2000), 0u);
  cpu.arch.dr7 |= 8;  // DR1: execution
  EXPECT_EQ(debug_instruction_match(cpu, 0x2000), 2u);
  EXPECT_EQ(debug_instruction_match(cpu, 0x2001), 0u);
  EXPECT_EQ(debug_io_match(cpu, 0x1000, 1), 0u);
}

// Without an IDT the ladder ends at once: #UD, #GP or #NP on the way, #DF, shutdown.
TEST(Exceptions, TripleFault) {
  for (const bool step : {false, true}) {
    TestMachine machine;
    CpuState state = TestMachine::long_mode();
    state.idtr = {0, 0};
    machine.engine->set_state(state);
    machine.load({0x90, 0x0f, 0x0b});  // nop; ud2
    machine.run(10, step);
    EXPECT_EQ(machine.engine->state().activity, Activity::shutdown);
    EXPECT_EQ(machine.engine->state().rip, TestMachine::kCode + 1);
    EXPECT_EQ(machine.clock.count().value, 1u);
  }
}

TEST(Exceptions, PageFaultAddressSurvivesATripleFault) {
  TestMachine machine;
  CpuState state = TestMachine::long_mode();
  state.idtr = {0x7fffff000000, 0xfff};  // not mapped
  machine.engine->set_state(state);
  machine.load({0xcd, 0x80});  // int 0x80: page fault in the IDT, again for #PF, again for #DF
  machine.run(10);
  EXPECT_EQ(machine.engine->state().activity, Activity::shutdown);
  EXPECT_EQ(machine.engine->state().cr2, 0x7fffff000000u + 8 * 16);
}

// What system calls fold into registers, by both drives.
TEST(Syscall, RoundTrip) {
  for (const bool step : {false, true}) {
    TestMachine machine;
    CpuState state = TestMachine::long_mode(3);
    state.rflags = flags::FIXED1 | flags::IF | flags::CF;
    state.star = u64{0x20} << 48 | u64{0x10} << 32;
    state.lstar = TestMachine::kCode + 0x100;
    state.sfmask = flags::IF | flags::TF;
    machine.engine->set_state(state);
    machine.load({0x0f, 0x05, 0x90});               // syscall; nop
    machine.load({0x48, 0x0f, 0x07}, state.lstar);  // sysretq
    machine.run(1, step);
    const CpuState kernel = machine.engine->state();
    EXPECT_EQ(kernel.rip, state.lstar);
    EXPECT_EQ(kernel.segment[CS].selector, 0x10);
    EXPECT_EQ(kernel.segment[SS].selector, 0x18);
    EXPECT_EQ(kernel.segment[SS].dpl, 0);
    EXPECT_EQ(kernel.gpr[R11], state.rflags);
    EXPECT_EQ(kernel.gpr[RCX], TestMachine::kCode + 2);
    EXPECT_EQ(kernel.rflags, flags::FIXED1 | flags::CF);
    machine.run(1, step);
    const CpuState user = machine.engine->state();
    EXPECT_EQ(user.rip, TestMachine::kCode + 2);
    EXPECT_EQ(user.segment[CS].selector, 0x33);
    EXPECT_EQ(user.segment[SS].selector, 0x2b);
    EXPECT_EQ(user.rflags, state.rflags);
  }
}

}  // namespace
}  // namespace rondo::software
