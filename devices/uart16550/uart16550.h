// 16550A UART (National Semiconductor PC16550D).
//
// Modelled: all registers, 16-byte receive FIFO with trigger levels and the character timeout, all five interrupt
// sources with their priorities, loopback, break, overrun, divisor latch, the OUT2 gate that PCs put between INTRPT and
// the IRQ line.
//
// Limits:
// - Transmission takes no time: a byte is with the sink when the write returns, so THR and the transmitter are always
// empty, and the
//   transmitter-empty interrupt is raised again at once after each write. The divisor only sets the length of the
//   character timeout.
// - Received bytes arrive whenever the outside delivers them, whatever the divisor. No parity or framing errors.
// - The modem inputs say that a terminal is there (CTS, DSR, DCD on; RI off); they change in loopback only.
// - DMA mode (FCR bit 3) has no effect: a PC does not connect RXRDY and TXRDY.
#pragma once

#include <array>
#include <string>

#include "core/device.h"
#include "devices/uart16550/registers.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class Uart16550 final : public Device, public ByteTarget {
 public:
  Uart16550(std::string name, Clock& clock, InterruptLine& irq, CharacterSink& sink);

  // Input from outside. A byte that comes when can_receive() is false overruns, as on a real line.
  bool can_receive() const;
  void receive(u8 byte);
  void receive_break();
  // Whether the guest says that it wants input: it asserts RTS or takes receive interrupts. A sender that waits for
  // this loses nothing to a driver that is not up yet.
  bool wants_input() const { return !loopback() && ((mcr_ & uart::kMcrRts) || (ier_ & uart::kIerReceived)); }

  std::string_view name() const override { return name_; }
  void reset() override;
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;
  u64 ignored_accesses() const { return ignored_; }

 protected:
  u8 read_byte(u64 offset) override;
  void write_byte(u64 offset, u8 value) override;

 private:
  struct Received {
    u8 byte = 0;
    bool is_break = false;
  };
  bool fifos_enabled() const { return fcr_ & uart::kFcrEnable; }
  bool loopback() const { return mcr_ & uart::kMcrLoop; }
  unsigned trigger_level() const;
  u64 character_timeout_ns() const;
  u8 line_status() const;
  u8 modem_levels() const;
  u8 pending_interrupt() const;
  u8 read_data();
  u8 read_interrupt_id();
  void transmit(u8 byte);
  void push(Received item);
  void clear_receiver();
  void write_fifo_control(u8 value);
  void write_modem_control(u8 value);
  void restart_timeout();
  void update_line();

  const std::string name_;
  Clock& clock_;
  InterruptLine& irq_;
  CharacterSink& sink_;
  TimerId timeout_timer_;

  std::array<Received, uart::kFifoDepth> fifo_{};  // oldest first, from index 0
  u8 fifo_count_ = 0;
  u8 last_received_ = 0;  // what the data register shows when nothing is waiting
  u8 ier_ = 0, fcr_ = 0, lcr_ = 0, mcr_ = 0, scratch_ = 0;
  u8 msr_delta_ = 0;
  u16 divisor_ = 0;
  bool overrun_ = false;
  bool break_seen_ = false;      // BI: the character at the top was a break, until LSR is read
  bool timeout_ = false;         // character timeout interrupt pending
  bool transmit_empty_ = false;  // transmitter-empty interrupt pending
  u64 ignored_ = 0;              // a diagnostic, not machine state
};

}  // namespace rondo::devices
