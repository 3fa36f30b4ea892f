// Local APIC (SDM 3A chapter 11), one per vCPU: xAPIC (memory-mapped) and x2APIC (MSRs).
//
// Modelled: IRR/ISR/TMR, TPR/PPR, EOI with broadcast to I/O APICs, LVT (timer, thermal, performance, LINT0, LINT1,
// error), the timer in all three modes, SVR with software disable, ESR, ICR with shorthands, self-IPI, physical and
// logical destinations (flat, cluster, x2APIC), IA32_APIC_BASE with the legal mode transitions. LINT0 in ExtINT mode
// passes the 8259's INTR through; with the APIC disabled by IA32_APIC_BASE, LINT0 and LINT1 are the processor's INTR
// and NMI pins.
//
// Limits: the memory-mapped registers stay at 0xfee00000 (writing another base is #GP(0)); the APIC ID is read-only;
// INIT, start-up and SMI messages are counted and ignored; nothing raises the thermal and performance entries; no
// EOI-broadcast suppression, no CMCI; memory-mapped accesses that are not 32 bits wide and 16-byte aligned are counted
// and ignored.
//
// After reset the bootstrap processor's APIC is in virtual wire mode, as firmware leaves it (MultiProcessor
// Specification 1.4, 3.6.2.2).
#pragma once

#include <array>
#include <string>

#include "core/cpu/interrupt_controller.h"
#include "core/device.h"
#include "devices/local_apic/registers.h"
#include "devices/local_apic/timer.h"
#include "devices/local_apic/vector_set.h"
#include "devices/wiring/apic_bus.h"
#include "devices/wiring/interrupt_inputs.h"

namespace rondo::devices {

struct LocalApicConfig {
  u32 id = 0;
  bool bootstrap = true;
  bool virtual_wire = true;  // only with bootstrap
};

class LocalApic final : public Device,
                        public BusTarget,
                        public InterruptController,
                        public ApicAgent,
                        public InterruptInputs {
 public:
  LocalApic(Clock& clock, ApicBus& bus, LocalApicConfig config);

  void attach_cpu(CpuPins& pins) { pins_ = &pins; }
  void attach_pic(ExtIntSource& pic) { pic_ = &pic; }
  InterruptLine& lint0() { return lint0_; }
  InterruptLine& lint1() { return lint1_; }

  // InterruptController
  bool intr() const override { return intr_; }
  u8 acknowledge() override;
  u8 read_cr8() const override { return tpr_ >> 4; }
  void write_cr8(u8 value) override;
  bool owns_msr(u32 index) const override;
  bool read_msr(u32 index, u64& value) override;
  bool write_msr(u32 index, u64 value) override;
  void set_tsc_offset(u64 offset) override { timer_.set_tsc_offset(offset); }

  // BusTarget: the xAPIC registers
  u64 bus_read(u64 offset, unsigned size) override;
  void bus_write(u64 offset, unsigned size, u64 value) override;

  // ApicAgent
  bool is_destination(u32 destination, bool logical) const override;
  u8 arbitration_priority() const override { return processor_priority(); }
  void receive(const ApicMessage& message) override;

  // InterruptInputs: LINT0 and LINT1
  unsigned input_count() const override { return 2; }
  void set_input(unsigned input, bool high) override;

  std::string_view name() const override { return name_; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 private:
  bool enabled() const { return apic_base_ & lapic::kBaseEnable; }
  bool x2apic() const { return apic_base_ & lapic::kBaseX2Apic; }
  bool software_enabled() const { return svr_ & lapic::kSvrEnable; }
  u32& lvt(u32 reg) { return lvt_[reg - lapic::kLvtTimer]; }
  u32 lvt(u32 reg) const { return lvt_[reg - lapic::kLvtTimer]; }
  static DeliveryMode mode_of(u32 entry) {
    return static_cast<DeliveryMode>((entry & lapic::kLvtMode) >> lapic::kLvtModeShift);
  }

  void reset_registers();
  u8 processor_priority() const;
  bool ext_int_pending() const;
  bool vector_pending() const;
  void update();
  void accept(u8 vector, bool level);
  void deliver_local(u32 entry);
  void check_lint0_level();
  void raise_nmi();
  void error(u32 bit);
  void end_of_interrupt();
  void send_ipi(u32 low, u32 destination);

  // Registers by number, the same for both access paths (registers.cpp).
  u32 read_register(u32 reg) const;
  void write_register(u32 reg, u32 value);
  void write_svr(u32 value);
  void write_lvt(u32 reg, u32 value);
  bool write_apic_base(u64 value);
  bool read_x2apic(u32 reg, u64& value);
  bool write_x2apic(u32 reg, u64 value);

  const std::string name_;
  ApicBus& bus_;
  const LocalApicConfig config_;
  CpuPins* pins_ = nullptr;
  ExtIntSource* pic_ = nullptr;
  InputLine lint0_{*this, 0};
  InputLine lint1_{*this, 1};

  ApicTimer timer_;
  u64 apic_base_ = 0;
  std::array<bool, 2> lint_{};  // levels
  u8 tpr_ = 0;
  u32 ldr_ = 0, dfr_ = 0, svr_ = 0;
  u32 esr_ = 0;     // as last latched by a write
  u32 errors_ = 0;  // since then
  u64 icr_ = 0;
  std::array<u32, lapic::kLvtEntries> lvt_{};
  VectorSet irr_, isr_, tmr_;
  bool intr_ = false;  // derived
  u64 ignored_ = 0;    // a diagnostic, not machine state
};

}  // namespace rondo::devices
