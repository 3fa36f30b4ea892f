// What a device is and all that it may see: offsets, the virtual clock, interrupt lines, the machine's control lines.
#pragma once

#include <string_view>

#include "core/base/types.h"
#include "core/bus/bus.h"
#include "core/state/stream.h"
#include "core/time/clock.h"

namespace rondo {

class Device : public Saveable {
 public:
  virtual std::string_view name() const = 0;  // unique on a board; the name of its section
  virtual void reset() = 0;                   // power-on and system reset
};

// One end of an interrupt wire. Level semantics: the sink remembers the level; an edge is a change from low to high.
class InterruptLine {
 public:
  virtual ~InterruptLine() = default;
  virtual void set_level(bool high) = 0;
};

// What a device may ask of the machine as a whole. Requests take effect after the current instruction.
class MachineControl {
 public:
  virtual ~MachineControl() = default;
  virtual void request_power_off() = 0;
  virtual void request_reset() = 0;
  virtual void request_debug_exit(u32 code) = 0;  // isa-debug-exit: status (code << 1) | 1
};

// Where a character device's output goes.
class CharacterSink {
 public:
  virtual ~CharacterSink() = default;
  virtual void put(u8 byte) = 0;
};

}  // namespace rondo
