#include "devices/uart16550/uart16550.h"

#include <algorithm>
#include <utility>

namespace rondo::devices {

using namespace uart;

Uart16550::Uart16550(std::string name, Clock& clock, InterruptLine& irq, CharacterSink& sink)
    : name_(std::move(name)), clock_(clock), irq_(irq), sink_(sink) {
  timeout_timer_ = clock_.add_timer(name_ + " character timeout", [this] {
    timeout_ = true;
    update_line();
  });
  reset();
}

void Uart16550::reset() {
  fifo_ = {};
  fifo_count_ = 0;
  last_received_ = 0;
  ier_ = fcr_ = lcr_ = mcr_ = scratch_ = msr_delta_ = 0;
  divisor_ = 12;  // 9600 baud; the data sheet leaves it undefined
  overrun_ = break_seen_ = timeout_ = transmit_empty_ = false;
  clock_.disarm(timeout_timer_);
  update_line();
}

bool Uart16550::can_receive() const {
  if (loopback()) return false;  // the receiver listens to the transmitter: let the outside wait
  return fifo_count_ < (fifos_enabled() ? kFifoDepth : 1);
}

void Uart16550::receive(u8 byte) {
  if (!loopback()) push({byte, false});
}

void Uart16550::receive_break() {
  if (!loopback()) push({0, true});
}

unsigned Uart16550::trigger_level() const {
  static constexpr u8 kLevels[] = {1, 4, 8, 14};
  return fifos_enabled() ? kLevels[fcr_ >> 6] : 1;
}

// Four character times (data sheet 8.4.1), computed in bits of 16 baud clocks.
u64 Uart16550::character_timeout_ns() const {
  const u64 bits = 1 + 5 + (lcr_ & kLcrWordLength) + (lcr_ & kLcrParity ? 1 : 0) + (lcr_ & kLcrTwoStopBits ? 2 : 1);
  const u64 divisor = divisor_ == 0 ? 1 : divisor_;
  return 4 * bits * 16 * divisor * 1'000'000'000 / kClockHz;
}

void Uart16550::push(Received item) {
  const unsigned depth = fifos_enabled() ? kFifoDepth : 1;
  if (fifo_count_ >= depth) {
    overrun_ = true;
    if (!fifos_enabled()) fifo_[0] = item;  // without FIFOs the new character destroys the old (8.6.3)
  } else {
    fifo_[fifo_count_++] = item;
  }
  if (fifo_[0].is_break) break_seen_ = true;
  restart_timeout();
  update_line();
}

// The timeout counts from the last character received or read while characters wait (8.4.1). It exists in FIFO mode
// only and is armed only if it could interrupt.
void Uart16550::restart_timeout() {
  timeout_ = false;
  if (fifos_enabled() && fifo_count_ > 0 && (ier_ & kIerReceived)) {
    clock_.arm(timeout_timer_, clock_.now() + character_timeout_ns());
  } else {
    clock_.disarm(timeout_timer_);
  }
}

void Uart16550::clear_receiver() {
  fifo_ = {};
  fifo_count_ = 0;
  break_seen_ = false;
  restart_timeout();
}

u8 Uart16550::line_status() const {
  u8 status = kLsrTransmitHoldingEmpty | kLsrTransmitterEmpty;
  if (fifo_count_ > 0) status |= kLsrDataReady;
  if (overrun_) status |= kLsrOverrun;
  if (break_seen_) status |= kLsrBreak;
  const bool error_in_fifo =
      std::any_of(fifo_.begin(), fifo_.begin() + fifo_count_, [](const Received& r) { return r.is_break; });
  if (fifos_enabled() && error_in_fifo) status |= kLsrFifoError;
  return status;
}

u8 Uart16550::modem_levels() const {
  if (!loopback()) return kMsrCts | kMsrDsr | kMsrDcd;
  u8 levels = 0;
  if (mcr_ & kMcrRts) levels |= kMsrCts;
  if (mcr_ & kMcrDtr) levels |= kMsrDsr;
  if (mcr_ & kMcrOut1) levels |= kMsrRing;
  if (mcr_ & kMcrOut2) levels |= kMsrDcd;
  return levels;
}

u8 Uart16550::pending_interrupt() const {
  if ((ier_ & kIerLineStatus) && (overrun_ || break_seen_)) return kIirLineStatus;
  if ((ier_ & kIerReceived) && fifo_count_ >= trigger_level()) return kIirReceived;
  if ((ier_ & kIerReceived) && timeout_) return kIirTimeout;
  if ((ier_ & kIerTransmitEmpty) && transmit_empty_) return kIirTransmitEmpty;
  if ((ier_ & kIerModemStatus) && msr_delta_ != 0) return kIirModemStatus;
  return kIirNone;
}

// On a PC, OUT2 enables the driver of the IRQ line; in loopback the OUT2 pin is inactive (8.6.7).
void Uart16550::update_line() {
  const bool connected = (mcr_ & kMcrOut2) && !loopback();
  irq_.set_level(connected && pending_interrupt() != kIirNone);
}

u8 Uart16550::read_data() {
  if (fifo_count_ == 0) return last_received_;
  last_received_ = fifo_[0].byte;
  std::copy(fifo_.begin() + 1, fifo_.begin() + fifo_count_, fifo_.begin());
  fifo_[--fifo_count_] = {};
  if (fifo_count_ > 0 && fifo_[0].is_break) break_seen_ = true;
  restart_timeout();
  update_line();
  return last_received_;
}

// Reading the register clears the transmitter-empty interrupt if that is what it shows (table 8-3).
u8 Uart16550::read_interrupt_id() {
  const u8 id = pending_interrupt();
  if (id == kIirTransmitEmpty) {
    transmit_empty_ = false;
    update_line();
  }
  return id | (fifos_enabled() ? kIirFifosEnabled : 0);
}

u8 Uart16550::read_byte(u64 offset) {
  const bool divisor_latch = lcr_ & kLcrDivisorLatch;
  switch (offset) {
    case kData:
      return divisor_latch ? static_cast<u8>(divisor_) : read_data();
    case kInterruptEnable:
      return divisor_latch ? static_cast<u8>(divisor_ >> 8) : ier_;
    case kInterruptId:
      return read_interrupt_id();
    case kLineControl:
      return lcr_;
    case kModemControl:
      return mcr_;
    case kLineStatus: {
      const u8 status = line_status();
      overrun_ = break_seen_ = false;
      update_line();
      return status;
    }
    case kModemStatus: {
      const u8 status = modem_levels() | msr_delta_;
      msr_delta_ = 0;
      update_line();
      return status;
    }
    case kScratch:
      return scratch_;
    default:
      ++ignored_;
      return 0xff;
  }
}

// The holding register is empty again at once, which is an event of its own: the interrupt is pending after every
// write.
void Uart16550::transmit(u8 byte) {
  transmit_empty_ = true;
  if (loopback()) {
    push({byte, false});
  } else {
    sink_.put(byte);
  }
  update_line();
}

void Uart16550::write_fifo_control(u8 value) {
  const bool switched = (value ^ fcr_) & kFcrEnable;
  // The other bits are programmed only together with the enable bit (8.6.4).
  fcr_ = value & kFcrEnable ? value & kFcrKept : 0;
  if (switched || (value & kFcrClearReceive)) clear_receiver();
  update_line();
}

void Uart16550::write_modem_control(u8 value) {
  const u8 before = modem_levels();
  mcr_ = value & kMcrMask;
  const u8 after = modem_levels();
  const u8 changed = before ^ after;
  msr_delta_ |= (changed & (kMsrCts | kMsrDsr | kMsrDcd)) >> 4;
  if (changed & before & kMsrRing) msr_delta_ |= kMsrTrailingRing;
  update_line();
}

void Uart16550::write_byte(u64 offset, u8 value) {
  const bool divisor_latch = lcr_ & kLcrDivisorLatch;
  switch (offset) {
    case kData:
      if (divisor_latch) {
        divisor_ = static_cast<u16>((divisor_ & 0xff00) | value);
      } else {
        transmit(value);
      }
      break;
    case kInterruptEnable:
      if (divisor_latch) {
        divisor_ = static_cast<u16>((divisor_ & 0x00ff) | (value << 8));
        break;
      }
      // Enabling the transmitter-empty interrupt while the register is empty raises it: drivers probe for this.
      if (~ier_ & value & kIerTransmitEmpty) transmit_empty_ = true;
      if ((ier_ ^ value) & kIerReceived) {
        ier_ = value & kIerMask;
        restart_timeout();
      }
      ier_ = value & kIerMask;
      update_line();
      break;
    case kFifoControl:
      write_fifo_control(value);
      break;
    case kLineControl:
      lcr_ = value;
      break;
    case kModemControl:
      write_modem_control(value);
      break;
    case kScratch:
      scratch_ = value;
      break;
    default:
      ++ignored_;
      break;  // LSR and MSR are read-only but for factory tests
  }
}

void Uart16550::save(StateWriter& writer) const {
  writer.section(name_, 1);
  std::array<u8, kFifoDepth> bytes;
  u16 breaks = 0;
  for (unsigned i = 0; i < kFifoDepth; ++i) {
    bytes[i] = fifo_[i].byte;
    if (fifo_[i].is_break) breaks = static_cast<u16>(breaks | 1u << i);
  }
  writer.write_bytes(bytes);
  writer.write_u16(breaks);
  writer.write_u8(fifo_count_);
  writer.write_u8(last_received_);
  for (const u8 value : {ier_, fcr_, lcr_, mcr_, scratch_, msr_delta_}) writer.write_u8(value);
  writer.write_u16(divisor_);
  for (const bool flag : {overrun_, break_seen_, timeout_, transmit_empty_}) writer.write_bool(flag);
}

void Uart16550::load(StateReader& reader) {
  reader.section(name_, 1);
  std::array<u8, kFifoDepth> bytes{};
  reader.read_bytes_into(bytes);
  const u16 breaks = reader.read_u16();
  for (unsigned i = 0; i < kFifoDepth; ++i) fifo_[i] = {bytes[i], ((breaks >> i) & 1) != 0};
  fifo_count_ = reader.read_u8();
  if (fifo_count_ > kFifoDepth) {
    reader.fail("saved state: " + name_ + " has a FIFO with " + std::to_string(fifo_count_) + " bytes");
    fifo_count_ = 0;
  }
  last_received_ = reader.read_u8();
  for (u8* field : {&ier_, &fcr_, &lcr_, &mcr_, &scratch_, &msr_delta_}) *field = reader.read_u8();
  divisor_ = reader.read_u16();
  for (bool* flag : {&overrun_, &break_seen_, &timeout_, &transmit_empty_}) *flag = reader.read_bool();
}

}  // namespace rondo::devices
