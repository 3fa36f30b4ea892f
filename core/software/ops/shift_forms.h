// The forms of shifts and rotates. F has `apply<T>(a, count, before) -> AluResult<T>` for a masked count that is not
// zero.
#pragma once

#include "core/software/ops/alu_unary_forms.h"
#include "core/software/ops/shift_math.h"

namespace rondo::software {

// Immediate counts are masked and checked for zero when the instruction is lowered.
template <class F>
struct ShiftByImmediate {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op* op) {
    return take(cpu, F::template apply<T>(a, static_cast<unsigned>(op->imm), cpu.lazy));
  }
};

template <class F>
struct ShiftByCl {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op*) {
    const unsigned count = cpu.reg<u8>(gpr_slot(RCX)) & kCountMask<T>;
    if (count == 0) return a;
    return take(cpu, F::template apply<T>(a, count, cpu.lazy));
  }
};

// A count of zero still rewrites the destination: it clears the upper half of a 32-bit register and needs write access
// to memory.
struct ShiftByZero {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu&, T a, const Op*) {
    return a;
  }
};

template <class F>
Handler lower_shift(const Instruction& instruction, Op& op) {
  const Operand& count = instruction.operands[1];
  if (is_register(count)) return lower_unary<ShiftByCl<F>>(instruction, op);
  if (!is_immediate(count)) return nullptr;
  op.imm = static_cast<u64>(instruction.immediate) & (instruction.operand_bytes == 8 ? 63 : 31);
  return op.imm == 0 ? lower_unary<ShiftByZero>(instruction, op) : lower_unary<ShiftByImmediate<F>>(instruction, op);
}

}  // namespace rondo::software
