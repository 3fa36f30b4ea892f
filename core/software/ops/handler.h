// How handlers are written.
//
// A handler runs one Op. It either goes on with next(), or leaves the block. Three kinds:
//   hot      written with load/store and next(): ALU, moves, branches. No exceptions, no address-taken locals (they would break sibling calls).
//   cold     a body `void body(Vcpu&, const Op&)` wrapped as &cold<body>: may throw Fault, may use everything in access.h's cold part. State changes
//            only after everything that can fault. Goes on in the block. For instructions that change neither mode nor control flow.
//   ending   the same wrapped as &ending<body>: cpu.rip and cpu.next_rip are set before the body; afterwards execution goes on at next_rip through
//            the driver, which looks at interrupts, modes and breakpoints. For far transfers, system instructions, I/O, HLT and the like.
//
// Each operation has one lowering function: lower<Operation::X>(instruction, op) fills the operands (operands.h does the usual ones) and returns the
// handler. A missing one fails at link time.
#pragma once

#include "core/software/access.h"
#include "core/software/op.h"
#include "core/software/vcpu.h"

namespace rondo::software {

[[gnu::always_inline]] inline const Op* next(Vcpu& cpu, const Op* op) { return dispatch<>(cpu, op + 1); }
// next() as a template argument.
struct ByNext {
  [[gnu::always_inline]] static const Op* go(Vcpu& cpu, const Op* op) { return next(cpu, op); }
};

// Runs from `op` until execution leaves the block.
inline void trampoline(Vcpu& cpu, const Op* op) {
  while (op) op = op->handler(cpu, op);
}

// *op has not happened: cpu.fault is to be delivered at it. Returns nullptr.
const Op* leave_with_fault(Vcpu& cpu, const Op* op);
// *op has retired: the driver goes on after it. Returns nullptr.
const Op* leave_after(Vcpu& cpu, const Op* op);
// *op raises this fault.
const Op* raise(Vcpu& cpu, const Op* op, const Fault& fault);

// After the last memory access of a hot handler, all state written: go on, leave, or deliver the fault.
[[gnu::always_inline]] inline const Op* finish(Vcpu& cpu, const Op* op, MemStatus status) {
  if (status == MemStatus::ok) [[likely]] return next(cpu, op);
  return status == MemStatus::leave ? leave_after(cpu, op) : leave_with_fault(cpu, op);
}

using ColdBody = void (*)(Vcpu& cpu, const Op& op);

const Op* run_cold(Vcpu& cpu, const Op* op, ColdBody body);     // nullptr if it left the block
const Op* run_ending(Vcpu& cpu, const Op* op, ColdBody body);   // always nullptr

template <ColdBody body>
const Op* cold(Vcpu& cpu, const Op* op) {
  const Op* following = run_cold(cpu, op, body);
  if (!following) return nullptr;
  return next(cpu, op);
}

template <ColdBody body>
const Op* ending(Vcpu& cpu, const Op* op) {
  return run_ending(cpu, op, body);
}

}  // namespace rondo::software
