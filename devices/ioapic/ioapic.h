// I/O APIC (Intel 82093AA; version 0x20 with an EOI register as in Intel ICH9).
//
// Modelled: 24 redirection entries, edge and level triggering, mask, remote IRR, all delivery modes that local APICs
// accept, physical and logical destinations, EOI by broadcast and by register. An edge on a masked pin is lost
// (82093AA 3.2.4).
//
// Limits: pins carry "asserted" or not, so the polarity bit is kept but has no effect (the ACPI tables say which
// polarity the wiring stands for). Delivery takes no time: the delivery status reads 0. Only 32-bit accesses to the
// three registers are answered.
#pragma once

#include <array>

#include "core/device.h"
#include "devices/ioapic/registers.h"
#include "devices/wiring/apic_bus.h"
#include "devices/wiring/interrupt_inputs.h"

namespace rondo::devices {

struct IoApicConfig {
  u8 id = 0;  // what firmware would have set up; the guest may change it
};

class IoApic final : public Device, public BusTarget, public InterruptInputs, public EoiListener {
 public:
  explicit IoApic(ApicBus& bus, IoApicConfig config = {});

  u64 bus_read(u64 offset, unsigned size) override;
  void bus_write(u64 offset, unsigned size, u64 value) override;

  unsigned input_count() const override { return ioapic::kPins; }
  void set_input(unsigned input, bool high) override;
  void end_of_interrupt(u8 vector) override;

  std::string_view name() const override { return "ioapic"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 private:
  u32 read_register();
  void write_register(u32 value);
  void write_entry(unsigned pin, u64 value);
  void service_level(unsigned pin);
  void send(u64 entry);

  ApicBus& bus_;
  const IoApicConfig config_;
  std::array<u64, ioapic::kPins> entries_{};
  u32 pins_ = 0;  // levels
  u8 select_ = 0;
  u8 id_ = 0;
  u64 ignored_ = 0;  // a diagnostic, not machine state
};

}  // namespace rondo::devices
