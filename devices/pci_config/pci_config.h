// PCI configuration space access, mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3), and the host bridge 0:0.0.
//
// Modelled: bus 0 with a host bridge without BARs or capabilities, whose registers are constant; further functions by
// attach(). Absent functions read as all ones. Byte accesses to 0xCF9 go to the reset control register, as in Intel's
// chipsets.
//
// Limits: one bus, no MMCONFIG, no interrupt routing (nothing interrupts yet).
#pragma once

#include <array>

#include "core/device.h"
#include "devices/pci_config/registers.h"

namespace rondo::devices {

// One function on the bus: 256 bytes of configuration space, accessed naturally aligned with size 1, 2 or 4.
class PciFunction {
 public:
  virtual ~PciFunction() = default;
  virtual u32 config_read(u8 offset, unsigned size) = 0;
  virtual void config_write(u8 offset, unsigned size, u32 value) = 0;
};

class PciHostBridge final : public PciFunction {
 public:
  u32 config_read(u8 offset, unsigned size) override;
  void config_write(u8, unsigned, u32) override {}
};

class PciConfig final : public Device, public BusTarget {
 public:
  explicit PciConfig(BusTarget& reset_control);

  // While the board is built. The function keeps its own state.
  void attach(unsigned slot, unsigned function, PciFunction& target) { functions_.at(slot).at(function) = &target; }

  u64 bus_read(u64 offset, unsigned size) override;
  void bus_write(u64 offset, unsigned size, u64 value) override;

  std::string_view name() const override { return "pci_config"; }
  void reset() override { address_ = 0; }
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 private:
  PciFunction* selected() const;

  BusTarget& reset_control_;
  PciHostBridge bridge_;
  std::array<std::array<PciFunction*, pci::kFunctions>, pci::kSlots> functions_{};
  u32 address_ = 0;
  u64 ignored_ = 0;  // a diagnostic, not machine state
};

}  // namespace rondo::devices
