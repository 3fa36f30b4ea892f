// Interrupts and exceptions: from an event to its handler (SDM 3A chapter 6).
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

enum class EventKind : u8 {
  external,  // a maskable interrupt
  nmi,
  exception,  // raised by the processor
  software,   // INT n
  int3,       // INT3 and INTO: no IOPL check in virtual-8086 mode
  into,
  int1  // ICEBP: counts as a hardware exception
};

struct Event {
  u8 vector = 0;
  EventKind kind = EventKind::exception;
  bool has_error_code = false;
  u32 error_code = 0;
  unsigned depth = 0;  // how many task switches on the way to it ended in another fault
};

// --- For the driver. The event happens at Vcpu::rip (a trap: after the instruction; a fault: at it); afterwards
// Vcpu::rip is the handler's first instruction. Faults on the way are delivered too, down to a double fault; a triple
// fault sets Activity::shutdown. Never throws.
void deliver(Vcpu& cpu, const Fault& fault, unsigned depth = 0);
void deliver(Vcpu& cpu, u8 vector, EventKind kind);  // external, nmi

// --- For instruction bodies: INT n and its relatives. Returns to cpu.next_rip; afterwards next_rip is the handler.
// Throws with nothing changed.
void software_interrupt(Vcpu& cpu, const Op* op, u8 vector, EventKind kind);

// Whether the event sets the EXT bit in error codes of what goes wrong on the way (SDM 3A 6.13).
inline bool is_external_event(EventKind kind) {
  return kind == EventKind::external || kind == EventKind::nmi || kind == EventKind::exception ||
         kind == EventKind::int1;
}

// The transfer itself (interrupt_entry.cpp): pushes return_rip, and sets cpu.rip to the handler.
void enter_handler(Vcpu& cpu, const Op* op, const Event& event, u64 return_rip);

}  // namespace rondo::software
