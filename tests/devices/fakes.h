// What the device tests put around a device: lines, sinks, a machine and a way to let time pass.
#pragma once

#include <string>
#include <vector>

#include "core/cpu/interrupt_controller.h"
#include "core/device.h"
#include "devices/wiring/interrupt_inputs.h"

namespace rondo::devices {

struct FakeLine final : InterruptLine {
  void set_level(bool high) override {
    if (high && !level) ++rises;
    level = high;
  }
  bool level = false;
  unsigned rises = 0;
};

struct FakeSink final : CharacterSink {
  void put(u8 byte) override { text += static_cast<char>(byte); }
  std::string text;
};

struct FakeMachine final : MachineControl {
  void request_power_off() override { ++power_offs; }
  void request_reset() override { ++resets; }
  void request_debug_exit(u32 code) override { debug_exits.push_back(code); }
  unsigned power_offs = 0, resets = 0;
  std::vector<u32> debug_exits;
};

struct FakePins final : CpuPins {
  void interrupt_state_changed() override { ++changes; }
  void raise_nmi() override { ++nmis; }
  unsigned changes = 0, nmis = 0;
};

// Lets virtual time pass as a machine does: every timer fires at its exact time.
inline void run_until(Clock& clock, VirtualNs end) {
  while (clock.next_due() && *clock.next_due() <= end) {
    clock.skip_to(*clock.next_due());
    clock.fire_due();
  }
  clock.skip_to(end);
}
inline void run_for(Clock& clock, u64 ns) { run_until(clock, clock.now() + ns); }

inline std::vector<u8> saved(const Saveable& component) {
  StateWriter writer;
  component.save(writer);
  return writer.take();
}
inline Status restore(Saveable& component, const std::vector<u8>& bytes) {
  StateReader reader(bytes);
  component.load(reader);
  if (reader.ok() && reader.remaining() != 0) return Error{"bytes are left over"};
  return reader.status();
}
// Saves one device and its clock, and restores both into another pair.
inline bool copy_state(const Saveable& from, const Clock& from_clock, Saveable& to, Clock& to_clock) {
  const bool ok = restore(to_clock, saved(from_clock)).has_value() && restore(to, saved(from)).has_value();
  return ok && saved(to) == saved(from) && saved(to_clock) == saved(from_clock);
}

inline u8 in8(BusTarget& target, u64 offset) { return static_cast<u8>(target.bus_read(offset, 1)); }
inline void out8(BusTarget& target, u64 offset, u8 value) { target.bus_write(offset, 1, value); }

}  // namespace rondo::devices
