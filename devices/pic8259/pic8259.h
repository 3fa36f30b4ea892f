// The pair of 8259A interrupt controllers of a PC (Intel 8259A; ELCR as in the Intel 82371SB).
//
// Modelled: ICW1-4, OCW1-3, edge and level triggering per input (ELCR), fixed and rotating priorities, automatic EOI,
// special mask mode, special fully nested mode, poll mode, spurious IRQ7 and IRQ15 (an acknowledge that finds no
// request). An edge-triggered request is withdrawn when its line falls before it is acknowledged, as on the chip, and
// INT with it.
//
// Limits: 8086 mode only (MCS-80 vectors do not exist on a PC); the slave is always on input 2, whatever ICW3 says;
// LTIM of ICW1 is ignored in favour of the ELCR, as in every PC since EISA. A chip raises nothing until it is
// initialized.
#pragma once

#include <optional>

#include "core/device.h"
#include "devices/pic8259/registers.h"
#include "devices/wiring/apic_bus.h"
#include "devices/wiring/byte_target.h"
#include "devices/wiring/interrupt_inputs.h"

namespace rondo::devices {

// One 8259A.
class Pic8259Chip {
 public:
  explicit Pic8259Chip(bool master) : master_(master) {}
  void reset();
  void set_input(unsigned input, bool high);
  // The INT output.
  bool requests() const { return highest_request().has_value(); }
  // INTA: the input served, or none if the request went away (spurious).
  std::optional<unsigned> acknowledge();
  u8 vector(unsigned input) const { return vector_base_ | static_cast<u8>(input); }
  u8 read(u64 offset);
  void write(u64 offset, u8 value);
  void set_level_triggered(u8 inputs) { level_triggered_ = inputs; }
  u8 level_triggered() const { return level_triggered_; }
  void save(StateWriter& writer) const;
  void load(StateReader& reader);

 private:
  enum class Init : u8 { never, icw2, icw3, icw4, done };
  u8 requested() const;
  u8 rank(unsigned input) const { return static_cast<u8>((input - lowest_priority_ - 1) & 7); }
  std::optional<unsigned> highest(u8 inputs) const;
  std::optional<unsigned> highest_request() const;
  void end_of_interrupt(std::optional<unsigned> input, bool rotate);
  void write_command(u8 value);
  void write_data(u8 value);

  const bool master_;
  u8 lines_ = 0;            // levels of the inputs
  u8 edges_ = 0;            // rising edges not yet acknowledged
  u8 level_triggered_ = 0;  // this chip's ELCR
  u8 mask_ = 0;             // IMR
  u8 in_service_ = 0;       // ISR
  u8 vector_base_ = 0;
  u8 lowest_priority_ = 7;
  Init init_ = Init::never;
  bool single_ = false;
  bool needs_icw4_ = false;
  bool auto_eoi_ = false;
  bool rotate_on_auto_eoi_ = false;
  bool fully_nested_ = false;
  bool special_mask_ = false;
  bool read_isr_ = false;
  bool poll_ = false;
};

struct Pic8259Config {
  u16 reset_elcr = 1 << 9;  // what firmware would set up: the ACPI SCI is level-triggered
};

class Pic8259 final : public Device, public InterruptInputs, public ExtIntSource {
 public:
  explicit Pic8259(InterruptLine& intr, Pic8259Config config = {});

  BusTarget& master_ports() { return master_ports_; }
  BusTarget& slave_ports() { return slave_ports_; }
  BusTarget& elcr_ports() { return elcr_ports_; }

  unsigned input_count() const override { return 16; }
  void set_input(unsigned input, bool high) override;
  u8 acknowledge() override;

  std::string_view name() const override { return "pic8259"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;

 private:
  u8 read_master(u64 offset);
  u8 read_slave(u64 offset);
  u8 read_elcr(u64 offset);
  void write_master(u64 offset, u8 value);
  void write_slave(u64 offset, u8 value);
  void write_elcr(u64 offset, u8 value);
  void update();

  InterruptLine& intr_;
  const Pic8259Config config_;
  Pic8259Chip master_{true};
  Pic8259Chip slave_{false};
  ByteWindow<Pic8259> master_ports_{*this, &Pic8259::read_master, &Pic8259::write_master};
  ByteWindow<Pic8259> slave_ports_{*this, &Pic8259::read_slave, &Pic8259::write_slave};
  ByteWindow<Pic8259> elcr_ports_{*this, &Pic8259::read_elcr, &Pic8259::write_elcr};
};

}  // namespace rondo::devices
