// Test exit port, compatible with QEMU's isa-debug-exit: a write of `value` ends the run; the process's status becomes
// (value << 1) | 1.
//
// Reads give 0. It has no state.
#pragma once

#include "core/device.h"
#include "devices/debug_exit/registers.h"

namespace rondo::devices {

class DebugExit final : public Device, public BusTarget {
 public:
  explicit DebugExit(MachineControl& machine) : machine_(machine) {}

  u64 bus_read(u64 offset, unsigned size) override;
  void bus_write(u64 offset, unsigned size, u64 value) override;

  std::string_view name() const override { return "debug_exit"; }
  void reset() override {}
  void save(StateWriter& writer) const override { writer.section(name(), 1); }
  void load(StateReader& reader) override { reader.section(name(), 1); }

 private:
  MachineControl& machine_;
};

}  // namespace rondo::devices
