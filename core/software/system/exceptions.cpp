#include "core/software/system/exceptions.h"

#include "core/software/mode.h"

namespace rondo::software {
namespace {

enum class FaultClass : u8 { benign, contributory, page_fault, double_fault };

FaultClass class_of(u8 vector) {  // SDM 3A table 6-4
  switch (vector) {
    case kDE:
    case kTS:
    case kNP:
    case kSS:
    case kGP:
      return FaultClass::contributory;
    case kPF:
      return FaultClass::page_fault;
    case kDF:
      return FaultClass::double_fault;
    default:
      return FaultClass::benign;
  }
}

// SDM 3A table 6-5.
bool makes_double_fault(FaultClass first, FaultClass second) {
  if (first == FaultClass::contributory) return second == FaultClass::contributory;
  if (first == FaultClass::page_fault) return second == FaultClass::contributory || second == FaultClass::page_fault;
  return false;
}

bool carries_selector(u8 vector) { return vector == kTS || vector == kNP || vector == kSS || vector == kGP; }

// What an exception changes whether or not its handler can be reached.
void record(Vcpu& cpu, const Fault& fault) {
  if (fault.vector == kPF) cpu.arch.cr2 = fault.address;
  if (fault.vector == kDB) {  // SDM 3B 17.2.3: B0-B3 are those of this exception, the others accumulate
    cpu.arch.dr6 = (cpu.arch.dr6 & ~u64{0xf}) | fault.dr6;
    if (cpu.arch.dr7 & dr7::GD) cpu.arch.dr7 &= ~dr7::GD;
  }
}

// The value of RF in the image that is pushed (SDM 3B 17.3.1.1). Only faults set it, but for instruction breakpoints;
// what lies between iterations of a string instruction has it set already.
void set_resume_flag(Vcpu& cpu, const Fault& fault) {
  const bool trap = fault.vector == kDB ? !(fault.dr6 & dr6::BD) : fault.vector == kBP || fault.vector == kOF;
  if (!trap) cpu.rflags_rest |= flags::RF;
}

void shut_down(Vcpu& cpu) {
  cpu.arch.activity = Activity::shutdown;
  cpu.attention = true;
}

// A processor can be kept busy for ever by handlers that cannot be entered: #AC on the stack of #AC (benign, so never a
// double fault), or tasks that fault as they begin. Here that is a shutdown, since nothing could end it from outside.
constexpr unsigned kMostAttempts = 8;

void deliver_event(Vcpu& cpu, Event event, FaultClass first) {
  bool external = is_external_event(event.kind);
  const unsigned depth = event.depth;
  if (depth >= kMostAttempts) return shut_down(cpu);
  for (unsigned attempt = 0; attempt < kMostAttempts; ++attempt) {
    Fault nested;
    try {
      enter_handler(cpu, nullptr, event, cpu.rip);
      return;
    } catch (const Fault& fault) {
      nested = fault;
    }
    const FaultClass second = class_of(nested.vector);
    if (external && carries_selector(nested.vector)) nested.error_code |= 1;
    record(cpu, nested);
    if (first == FaultClass::double_fault && second != FaultClass::benign) return shut_down(cpu);
    if (makes_double_fault(first, second)) {
      first = FaultClass::double_fault;
      event = {.vector = kDF, .has_error_code = true, .depth = depth};
    } else {
      first = second;
      event = {.vector = nested.vector,
               .has_error_code = nested.has_error_code,
               .error_code = nested.error_code,
               .depth = depth};
    }
    external = true;
    cpu.rflags_rest |= flags::RF;
  }
  shut_down(cpu);
}

}  // namespace

void deliver(Vcpu& cpu, const Fault& fault, unsigned depth) {
  record(cpu, fault);
  set_resume_flag(cpu, fault);
  const Event event{
      .vector = fault.vector, .has_error_code = fault.has_error_code, .error_code = fault.error_code, .depth = depth};
  deliver_event(cpu, event, class_of(fault.vector));
}

void deliver(Vcpu& cpu, u8 vector, EventKind kind) {
  if (kind == EventKind::nmi) cpu.arch.nmi_blocked = true;
  deliver_event(cpu, {.vector = vector, .kind = kind}, FaultClass::benign);
}

void software_interrupt(Vcpu& cpu, const Op* op, u8 vector, EventKind kind) {
  // The instruction completes with the transfer: RF is clear in the image.
  const u64 saved = cpu.rflags_rest, rip = cpu.rip;
  cpu.rflags_rest &= ~flags::RF;
  try {
    enter_handler(cpu, op, {.vector = vector, .kind = kind}, cpu.next_rip);
  } catch (Fault& fault) {
    cpu.rflags_rest = saved;
    if (is_external_event(kind) && carries_selector(fault.vector)) fault.error_code |= 1;
    throw;
  }
  cpu.next_rip = cpu.rip;
  cpu.rip = rip;
  cpu.no_single_step = true;  // the transfer cleared TF (SDM 3B 17.3.1.4)
}

}  // namespace rondo::software
