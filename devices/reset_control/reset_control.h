// Reset control register at port 0xCF9 (Intel ICH9 RST_CNT).
//
// Modelled: a reset starts when RST_CPU goes from 0 to 1. Limits: hard, soft and full resets are one and the same
// reset. The port lies among the PCI configuration ports, which pass byte accesses on to it (PciConfig).
#pragma once

#include "core/device.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class ResetControl final : public Device, public ByteTarget {
 public:
  explicit ResetControl(MachineControl& machine) : machine_(machine) {}

  std::string_view name() const override { return "reset_control"; }
  void reset() override { value_ = 0; }
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;

 protected:
  u8 read_byte(u64 offset) override;
  void write_byte(u64 offset, u8 value) override;

 private:
  MachineControl& machine_;
  u8 value_ = 0;
};

}  // namespace rondo::devices
