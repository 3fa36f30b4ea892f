#include "devices/local_apic/local_apic.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

using namespace lapic;

struct FakePic final : ExtIntSource {
  u8 acknowledge() override { return 0x77; }
};
struct FakeListener final : EoiListener {
  void end_of_interrupt(u8 vector) override { vectors.push_back(vector); }
  std::vector<u8> vectors;
};

class Lapic : public ::testing::Test {
 protected:
  Lapic() {
    bus_.attach(listener_);
    apic_.attach_cpu(pins_);
    apic_.attach_pic(pic_);
    set(kSvr, 0x1ff);
  }
  u32 get(u32 reg) { return static_cast<u32>(apic_.bus_read(16 * reg, 4)); }
  void set(u32 reg, u32 value) { apic_.bus_write(16 * reg, 4, value); }
  u64 rdmsr(u32 index) {
    u64 value = 0;
    EXPECT_TRUE(apic_.read_msr(index, value)) << std::hex << index;
    return value;
  }
  bool wrmsr(u32 index, u64 value) { return apic_.write_msr(index, value); }
  void enter_x2apic() { ASSERT_TRUE(wrmsr(kMsrApicBase, 0xfee00d00)); }
  void request(u8 vector, bool level = false) { apic_.receive({.vector = vector, .level = level}); }
  void eoi() { set(kEoi, 0); }

  Clock clock_;
  ApicBus bus_;
  FakeListener listener_;
  FakePins pins_;
  FakePic pic_;
  LocalApic apic_{clock_, bus_, {}};
};

TEST_F(Lapic, ResetIsVirtualWireMode) {
  apic_.reset();
  EXPECT_EQ(rdmsr(kMsrApicBase), 0xfee00900u);
  EXPECT_EQ(get(kVersion), 0x00050014u);
  EXPECT_EQ(get(kSvr), 0x10fu);
  EXPECT_EQ(get(kLvtLint0), 0x700u);
  EXPECT_EQ(get(kLvtLint1), 0x400u);
  EXPECT_EQ(get(kLvtTimer), 0x10000u);
  EXPECT_EQ(get(kDfr), 0xffffffffu);
  apic_.lint0().set_level(true);
  ASSERT_TRUE(apic_.intr());
  EXPECT_EQ(apic_.acknowledge(), 0x77);
  apic_.lint1().set_level(true);
  EXPECT_EQ(pins_.nmis, 1u);
}

TEST_F(Lapic, PrioritiesAndEoi) {
  request(0x41);
  request(0x55);
  EXPECT_TRUE(apic_.intr());
  EXPECT_EQ(apic_.acknowledge(), 0x55);
  EXPECT_FALSE(apic_.intr());
  EXPECT_EQ(get(kPpr), 0x50u);
  request(0x5a);  // same class: waits
  EXPECT_FALSE(apic_.intr());
  request(0x61);
  EXPECT_TRUE(apic_.intr());
  EXPECT_EQ(apic_.acknowledge(), 0x61);
  EXPECT_EQ(get(kIsr + 2), 1u << 0x15);
  EXPECT_EQ(get(kIsr + 3), 1u << 1);
  eoi();
  EXPECT_FALSE(apic_.intr());
  eoi();
  EXPECT_EQ(apic_.acknowledge(), 0x5a);
  eoi();
  EXPECT_EQ(apic_.acknowledge(), 0x41);
  eoi();
  EXPECT_EQ(get(kPpr), 0u);
  EXPECT_TRUE(listener_.vectors.empty());  // all edges
}

TEST_F(Lapic, TaskPriorityHoldsBack) {
  apic_.write_cr8(5);
  EXPECT_EQ(get(kTpr), 0x50u);
  EXPECT_EQ(apic_.read_cr8(), 5);
  request(0x5f);
  EXPECT_FALSE(apic_.intr());
  const unsigned changes = pins_.changes;
  apic_.write_cr8(4);
  EXPECT_TRUE(apic_.intr());
  EXPECT_EQ(pins_.changes, changes + 1);
  set(kTpr, 0x60);
  EXPECT_FALSE(apic_.intr());
  EXPECT_EQ(apic_.acknowledge(), 0xff);  // spurious
  EXPECT_EQ(get(kIrr + 2), 1u << 0x1f);
}

TEST_F(Lapic, LevelInterruptsBroadcastTheirEoi) {
  request(0x41, true);
  EXPECT_EQ(get(kTmr + 2), 2u);
  apic_.acknowledge();
  eoi();
  EXPECT_EQ(listener_.vectors, std::vector<u8>{0x41});
}

TEST_F(Lapic, IpisToSelf) {
  set(kIcrLow, 0x40041);  // shorthand self
  EXPECT_EQ(apic_.acknowledge(), 0x41);
  eoi();
  set(kIcrHigh, 0);
  set(kIcrLow, 0x4042);  // physical destination 0
  EXPECT_EQ(apic_.acknowledge(), 0x42);
  eoi();
  set(kIcrLow, 0x80043);  // all including self
  EXPECT_EQ(apic_.acknowledge(), 0x43);
  eoi();
  set(kIcrLow, 0xc0044);  // all but self
  EXPECT_FALSE(apic_.intr());
  set(kIcrHigh, 5u << 24);
  set(kIcrLow, 0x45);  // somebody else
  EXPECT_FALSE(apic_.intr());
  set(kIcrLow, 0x40400);  // NMI to self
  EXPECT_EQ(pins_.nmis, 1u);
}

TEST_F(Lapic, LogicalDestinations) {
  set(kLdr, 0x02000000);
  EXPECT_TRUE(apic_.is_destination(0x03, true));
  EXPECT_FALSE(apic_.is_destination(0x04, true));
  set(kDfr, 0x0fffffff);  // cluster model
  set(kLdr, 0x21000000);
  EXPECT_TRUE(apic_.is_destination(0x23, true));
  EXPECT_FALSE(apic_.is_destination(0x33, true));
  EXPECT_TRUE(apic_.is_destination(0xf1, true));
  EXPECT_TRUE(apic_.is_destination(0xff, false));
  EXPECT_FALSE(apic_.is_destination(1, false));
}

TEST_F(Lapic, IllegalVectorsAreErrors) {
  set(kLvtError, 0xe0);
  set(kIcrLow, 0x4000f);
  EXPECT_EQ(apic_.acknowledge(), 0xe0);
  eoi();
  EXPECT_EQ(get(kEsr), 0u);  // shown after a write
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), kErrorSendIllegalVector);
  request(3);
  get(0x3a);  // not a register
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), kErrorReceivedIllegalVector | kErrorIllegalRegister);
  set(kEsr, 0);
  EXPECT_EQ(get(kEsr), 0u);
}

TEST_F(Lapic, SoftwareDisableMasksTheLvt) {
  set(kLvtTimer, 0x40);
  set(kSvr, 0xff);
  EXPECT_EQ(get(kLvtTimer), 0x10040u);
  set(kLvtTimer, 0x41);
  EXPECT_EQ(get(kLvtTimer), 0x10041u);
  request(0x50);  // not accepted
  EXPECT_FALSE(apic_.intr());
}

TEST_F(Lapic, DisabledByTheBaseMsrPinsGoThrough) {
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00100));
  EXPECT_EQ(get(kVersion), 0xffffffffu);
  apic_.lint0().set_level(true);
  EXPECT_TRUE(apic_.intr());
  apic_.lint1().set_level(true);
  EXPECT_EQ(pins_.nmis, 1u);
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00900));
  EXPECT_EQ(get(kSvr), 0xffu);  // as after power-up
  EXPECT_FALSE(apic_.intr());
}

TEST_F(Lapic, BaseMsrTransitions) {
  EXPECT_FALSE(wrmsr(kMsrApicBase, 0xfed00900));  // fixed address
  EXPECT_FALSE(wrmsr(kMsrApicBase, 0xfee00901));
  EXPECT_FALSE(wrmsr(kMsrApicBase, 0xfee00500));  // x2APIC without enable
  EXPECT_FALSE(wrmsr(kMsrX2Apic + kTpr, 0));      // not in x2APIC mode
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00100));
  EXPECT_FALSE(wrmsr(kMsrApicBase, 0xfee00d00));  // off -> x2APIC
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00900));
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00d00));
  EXPECT_FALSE(wrmsr(kMsrApicBase, 0xfee00900));  // x2APIC -> xAPIC
  EXPECT_TRUE(wrmsr(kMsrApicBase, 0xfee00100));
}

TEST_F(Lapic, X2ApicRegisters) {
  enter_x2apic();
  EXPECT_EQ(get(kVersion), 0xffffffffu);  // no memory-mapped access
  EXPECT_EQ(rdmsr(0x802), 0u);
  EXPECT_EQ(rdmsr(0x803), 0x00050014u);
  EXPECT_EQ(rdmsr(0x80d), 1u);
  EXPECT_TRUE(wrmsr(0x83f, 0x41));  // self-IPI
  EXPECT_EQ(apic_.acknowledge(), 0x41);
  EXPECT_FALSE(wrmsr(0x80b, 1));
  EXPECT_TRUE(wrmsr(0x80b, 0));
  EXPECT_TRUE(wrmsr(0x830, u64{0xffffffff} << 32 | 0x42));
  EXPECT_EQ(rdmsr(0x830), u64{0xffffffff} << 32 | 0x42);
  EXPECT_EQ(apic_.acknowledge(), 0x42);
  u64 value = 0;
  for (const u32 msr : {0x80bu, 0x83fu, 0x80eu, 0x831u, 0x809u, 0x801u, 0x8ffu})
    EXPECT_FALSE(apic_.read_msr(msr, value)) << std::hex << msr;
  for (const u32 msr : {0x802u, 0x803u, 0x80au, 0x80du, 0x810u, 0x839u, 0x831u, 0x8ffu})
    EXPECT_FALSE(wrmsr(msr, 0)) << std::hex << msr;
  EXPECT_FALSE(wrmsr(0x808, 0x100));
  EXPECT_FALSE(wrmsr(0x832, u64{1} << 32));
  EXPECT_FALSE(wrmsr(0x80f, 0x1000));
  EXPECT_FALSE(wrmsr(0x83f, 0x100));
}

TEST_F(Lapic, OneShotTimer) {
  set(kLvtTimer, 0x40);
  set(kDivide, 0xb);  // by 1
  set(kInitialCount, 1000);
  run_for(clock_, 400);
  EXPECT_EQ(get(kCurrentCount), 600u);
  run_for(clock_, 599);
  EXPECT_FALSE(apic_.intr());
  run_for(clock_, 1);
  EXPECT_EQ(apic_.acknowledge(), 0x40);
  EXPECT_EQ(get(kCurrentCount), 0u);
  eoi();
  run_for(clock_, 10'000);
  EXPECT_FALSE(apic_.intr());
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Lapic, PeriodicTimerKeepsItsPhase) {
  set(kLvtTimer, 0x20040);
  set(kDivide, 0x3);  // by 16
  set(kInitialCount, 100);
  for (unsigned i = 1; i <= 5; ++i) {
    run_until(clock_, VirtualNs{1600 * i - 1});
    ASSERT_FALSE(apic_.intr());
    run_until(clock_, VirtualNs{1600 * i});
    ASSERT_EQ(apic_.acknowledge(), 0x40);
    eoi();
    EXPECT_EQ(get(kCurrentCount), 100u);
  }
  set(kLvtTimer, 0x30040);  // masked: no host work
  EXPECT_EQ(clock_.next_due(), std::nullopt);
  run_for(clock_, 1600 + 160);
  EXPECT_EQ(get(kCurrentCount), 90u);
  set(kLvtTimer, 0x20040);
  EXPECT_EQ(clock_.next_due(), VirtualNs{1600 * 7});
}

TEST_F(Lapic, TscDeadline) {
  EXPECT_TRUE(wrmsr(kMsrTscDeadline, 5000));  // ignored in another mode
  EXPECT_EQ(rdmsr(kMsrTscDeadline), 0u);
  set(kLvtTimer, 0x40041);
  apic_.set_tsc_offset(1000);
  EXPECT_TRUE(wrmsr(kMsrTscDeadline, 5000));
  EXPECT_EQ(clock_.next_due(), VirtualNs{4000});
  apic_.set_tsc_offset(2000);
  EXPECT_EQ(clock_.next_due(), VirtualNs{3000});
  run_for(clock_, 2999);
  EXPECT_FALSE(apic_.intr());
  run_for(clock_, 1);
  EXPECT_EQ(apic_.acknowledge(), 0x41);
  EXPECT_EQ(rdmsr(kMsrTscDeadline), 0u);
  eoi();
  EXPECT_TRUE(wrmsr(kMsrTscDeadline, 1));  // in the past: at once
  EXPECT_TRUE(apic_.intr());
  EXPECT_TRUE(wrmsr(kMsrTscDeadline, ~u64{0}));  // not in this life
  EXPECT_EQ(rdmsr(kMsrTscDeadline), ~u64{0});
  set(kLvtTimer, 0x41);  // leaving the mode disarms
  EXPECT_EQ(rdmsr(kMsrTscDeadline), 0u);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Lapic, Lint0AsAFixedInterrupt) {
  set(kLvtLint0, 0x60);
  apic_.lint0().set_level(true);
  EXPECT_EQ(apic_.acknowledge(), 0x60);
  EXPECT_FALSE(apic_.intr());
  eoi();
  apic_.lint0().set_level(false);
  set(kLvtLint0, 0x8061);  // level-triggered
  apic_.lint0().set_level(true);
  EXPECT_EQ(apic_.acknowledge(), 0x61);
  EXPECT_EQ(get(kLvtLint0), 0xc061u);
  eoi();
  EXPECT_EQ(apic_.acknowledge(), 0x61);
  apic_.lint0().set_level(false);
  eoi();
  EXPECT_FALSE(apic_.intr());
}

TEST_F(Lapic, MalformedAccessesAreCounted) {
  const u64 before = apic_.ignored_accesses();
  apic_.bus_read(0x20, 1);
  apic_.bus_read(0x24, 4);
  apic_.bus_write(0xff0, 8, 1);
  EXPECT_EQ(apic_.ignored_accesses(), before + 3);
}

TEST_F(Lapic, RestoredInTheMiddleOfAPeriod) {
  set(kLvtTimer, 0x20040);
  set(kDivide, 0);
  set(kInitialCount, 7777);
  run_for(clock_, 20'000);
  apic_.acknowledge();
  request(0x91, true);
  Clock clock;
  ApicBus bus;
  FakePins pins;
  LocalApic other(clock, bus, {});
  other.attach_cpu(pins);
  ASSERT_TRUE(copy_state(apic_, clock_, other, clock));
  EXPECT_EQ(pins.changes, 1u);  // the engine must look
  EXPECT_TRUE(other.intr());
  for (LocalApic* apic : {&apic_, &other}) {
    EXPECT_EQ(apic->acknowledge(), 0x91);
    apic->bus_write(0xb0, 4, 0);
    apic->bus_write(0xb0, 4, 0);
  }
  run_for(clock, 123'456);
  run_for(clock_, 123'456);
  EXPECT_EQ(saved(other), saved(apic_));
  EXPECT_EQ(other.bus_read(16 * kCurrentCount, 4), get(kCurrentCount));
}

}  // namespace
}  // namespace rondo::devices
