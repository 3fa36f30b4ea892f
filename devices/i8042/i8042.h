// Keyboard controller (Intel 8042 as in the IBM PC/AT, ports 0x60 and 0x64).
//
// Modelled: status, command byte and memory, self-test, port tests, output port, reset by command 0xFE and by output
// port bit 0.
//
// Limits: nothing is plugged into either port: a byte sent there is answered with 0xFE and the timeout bit. It
// therefore raises no interrupts and has no lines. A20 is always on; its bit can be set and read. The FADT says that
// there is no 8042, so that guests do not look for a keyboard; they still find it for the reset.
#pragma once

#include <array>

#include "core/device.h"
#include "devices/i8042/registers.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class I8042 final : public Device {
 public:
  explicit I8042(MachineControl& machine);

  BusTarget& data_port() { return data_port_; }
  BusTarget& command_port() { return command_port_; }

  std::string_view name() const override { return "i8042"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 private:
  u8 read_data(u64 offset);
  void write_data(u64 offset, u8 value);
  u8 read_status(u64 offset);
  void write_command(u64 offset, u8 value);
  void respond(u8 value, u8 status_bits = 0);
  void write_output_port(u8 value);

  MachineControl& machine_;
  ByteWindow<I8042> data_port_{*this, &I8042::read_data, &I8042::write_data};
  ByteWindow<I8042> command_port_{*this, &I8042::read_status, &I8042::write_command};
  std::array<u8, i8042::kMemoryMask + 1> memory_{};  // byte 0 is the command byte
  u8 status_ = 0;
  u8 output_ = 0;  // the output buffer
  u8 output_port_ = 0;
  u8 pending_ = 0;   // the command whose data byte comes next on the data port; 0: none
  u64 ignored_ = 0;  // a diagnostic, not machine state
};

}  // namespace rondo::devices
