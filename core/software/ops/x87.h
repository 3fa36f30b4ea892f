// The x87 unit as handlers see it: the register stack, status and pointers (SDM 1 chapter 8).
//
// All x87 handlers are cold bodies. Their order of business: x87_begin (#NM, #MF), memory operand (its faults),
// x87_record (FIP, FDP, FOP), stack checks, the operation, flags. Unmasked exceptions leave the operands alone where
// SDM 1 8.5 says so and set ES; the next waiting instruction raises #MF. With CR0.NE = 0 too: the external interrupt
// of PC compatibles (IRQ 13 through FERR#) is not modelled.
//
// Op fields: dst, src are ST numbers (slots for general registers); imm is the opcode for FOP; aux is the memory
// operand's segment. Condition codes that the manual leaves undefined stay as they are, or follow the silicon where it
// clears C1.
#pragma once

#include "core/fp/convert.h"
#include "core/software/ops/handler.h"
#include "core/software/ops/lower.h"

namespace rondo::software {

using fp::Binary32;
using fp::Binary64;
using fp::Ext80;
using fp::Extended80;

namespace x87 {

// Status word (SDM 1 8.1.3)
inline constexpr u16 kStackFault = 0x0040, kErrorSummary = 0x0080, kC0 = 0x0100, kC1 = 0x0200, kC2 = 0x0400,
                     kTop = 0x3800, kC3 = 0x4000, kBusy = 0x8000;
inline constexpr u16 kConditions = kC0 | kC1 | kC2 | kC3;
inline constexpr unsigned kTopShift = 11;

inline unsigned top(const FpuState& f) { return f.status >> kTopShift & 7; }
inline void set_top(FpuState& f, unsigned value) {
  f.status = static_cast<u16>((f.status & ~kTop) | (value & 7) << kTopShift);
}
inline unsigned physical(const FpuState& f, unsigned i) { return (top(f) + i) & 7; }

inline bool is_empty(const FpuState& f, unsigned i) { return (f.valid >> physical(f, i) & 1) == 0; }
inline Ext80 get(const FpuState& f, unsigned i) {
  const unsigned r = physical(f, i);
  return {f.significand[r], f.sign_exponent[r]};
}
inline fp::Unpacked value(const FpuState& f, unsigned i) { return fp::unpack<Extended80>(get(f, i)); }
// Writes and marks as not empty.
inline void set(FpuState& f, unsigned i, Ext80 v) {
  const unsigned r = physical(f, i);
  f.significand[r] = v.significand;
  f.sign_exponent[r] = v.sign_exponent;
  f.valid = static_cast<u8>(f.valid | 1 << r);
}
inline void set_empty(FpuState& f, unsigned i) { f.valid = static_cast<u8>(f.valid & ~(1 << physical(f, i))); }
inline void pop(FpuState& f) {
  set_empty(f, 0);
  set_top(f, top(f) + 1);
}
// The caller has checked that ST(7), the new top, is empty or that overflow is masked.
inline void push(FpuState& f, Ext80 v) {
  set_top(f, top(f) - 1);
  set(f, 0, v);
}

inline Ext80 indefinite() { return fp::default_nan<Extended80>(); }

inline void set_c1(FpuState& f, bool on) { f.status = static_cast<u16>((f.status & ~kC1) | (on ? kC1 : 0)); }
inline void set_conditions(FpuState& f, u16 conditions) {
  f.status = static_cast<u16>((f.status & ~kConditions) | conditions);
}

// ES and B follow from the flags and masks (SDM 1 8.1.3.3).
inline void update_summary(FpuState& f) {
  const bool pending = (f.status & ~f.control & 0x3f) != 0;
  f.status = static_cast<u16>((f.status & ~(kErrorSummary | kBusy)) | (pending ? kErrorSummary | kBusy : 0));
}

// #NM and #MF, for all waiting instructions.
void begin(const Vcpu& cpu);
// FIP, FOP, and with a memory operand FDP.
void record(Vcpu& cpu, const Op& op);
void record_memory(Vcpu& cpu, const Op& op);

// Stack fault (SDM 1 8.5.1.1). True if it is masked: the instruction then goes on with the indefinite.
bool stack_fault(FpuState& f, bool overflow);

// Sets the flags of an operation, and C1 as it rounded. What is then allowed:
struct Accepted {
  bool result;  // write a register result: no unmasked #IA, #D or #Z
  bool store;   // write a memory result: nor #O or #U
};
Accepted accept(FpuState& f, const fp::Context& context);

inline fp::Context context_of(const FpuState& f) { return fp::x87_context(f.control); }

// Memory operands: an integer type, or a format. Never raises x87 exceptions.
template <class M>
fp::Unpacked read_memory(Vcpu& cpu, const Op& op) {
  if constexpr (std::is_integral_v<M>) {
    return fp::unpack_integer(read_operand<M>(cpu, &op));
  } else {
    return fp::unpack<M>(read_operand<typename M::Bits>(cpu, &op));
  }
}

// Lowering
inline void set_opcode(const Instruction& instruction, Op& op) {
  op.imm = instruction.x87_opcode;
  op.aux = instruction.memory.segment;
}

}  // namespace x87
}  // namespace rondo::software

// An x87 operation with one form: the body does everything.
#define RONDO_X87(name, body)                                                             \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    x87::set_opcode(instruction, op);                                                     \
    return &cold<body>;                                                                   \
  }
