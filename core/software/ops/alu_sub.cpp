// SUB and SBB.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/alu_functions.h"

namespace rondo::software {

template <>
Handler lower<Operation::SUB>(const Instruction& instruction, Op& op, LowerContext&) {
  const Handler zero = lower_zero(instruction, op);
  return zero ? zero : lower_binary<Sub>(instruction, op);
}

template <>
Handler lower<Operation::SBB>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Sbb>(instruction, op);
}

}  // namespace rondo::software
