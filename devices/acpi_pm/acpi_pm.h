// ACPI fixed hardware (ACPI Specification 6.4, 4.8): PM1a event and control registers, the power management timer, the
// SCI.
//
// Modelled: the 32-bit PM timer at 3.579545 MHz with its overflow event, the fixed power button, S5 by SLP_TYP and
// SLP_EN.
//
// Limits: always in ACPI mode (SCI_EN reads 1; there is no SMI command port); no other sleep states, no general-purpose
// events. The events of the RTC's alarm and of the global lock can be enabled (Linux insists) but do not come: there is
// nothing to wake from, and no firmware takes the lock.
#pragma once

#include "core/device.h"
#include "devices/acpi_pm/registers.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class AcpiPm final : public Device, public ByteTarget {
 public:
  AcpiPm(Clock& clock, InterruptLine& sci, MachineControl& machine);

  // From outside: asks the guest to shut down.
  void press_power_button();

  std::string_view name() const override { return "acpi_pm"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 protected:
  u8 read_byte(u64 offset) override;
  void write_byte(u64 offset, u8 value) override;

 private:
  u16 status() const;
  u64 timer_ticks() const;
  void clear_status(u16 bits);
  void write_control(u16 value);
  void update();

  Clock& clock_;
  InterruptLine& sci_;
  MachineControl& machine_;
  TimerId overflow_timer_;
  u16 events_ = 0;             // PM1 status but for the timer event, which is computed
  u64 timer_event_since_ = 0;  // timer overflows after this tick count
  u16 enable_ = 0;
  u16 control_ = 0;
  u64 ignored_ = 0;  // a diagnostic, not machine state
};

}  // namespace rondo::devices
