// 8254 programmable interval timer (Intel 8254) and system control port B of the PC/AT (port 0x61).
//
// Modelled: three counters at 1.193182 MHz in all six modes, binary and BCD, latch and read-back commands, the gate of
// counter 2 and its output in port 0x61, the refresh toggle. Counter 0's OUT is IRQ0.
//
// Limits: the IRQ line's rising edges come at the exact tick, its falls together with the next rise (nobody but an edge
// detector listens); a new count in mode 3 takes effect at the end of a whole period; no sound; nothing counts before
// it is programmed; gates 0 and 1 are tied high; the NMI bits of port 0x61 can be written but nothing raises these
// NMIs.
#pragma once

#include <array>

#include "core/device.h"
#include "devices/pit8254/channel.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class Pit8254 final : public Device {
 public:
  Pit8254(Clock& clock, InterruptLine& irq0);

  BusTarget& timer_ports() { return timer_ports_; }
  BusTarget& system_port() { return system_port_; }

  std::string_view name() const override { return "pit8254"; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 private:
  u8 read_timer(u64 offset);
  void write_timer(u64 offset, u8 value);
  u8 read_system(u64 offset);
  void write_system(u64 offset, u8 value);
  void write_control(u8 value);
  u64 tick() const;
  void update_irq();
  void schedule();

  Clock& clock_;
  InterruptLine& irq0_;
  TimerId timer_;
  ByteWindow<Pit8254> timer_ports_{*this, &Pit8254::read_timer, &Pit8254::write_timer};
  ByteWindow<Pit8254> system_port_{*this, &Pit8254::read_system, &Pit8254::write_system};
  std::array<PitChannel, pit::kChannels> channels_;
  u8 port_b_ = 0;
  u64 ignored_ = 0;  // a diagnostic, not machine state
};

}  // namespace rondo::devices
