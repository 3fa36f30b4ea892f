// XOR.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/alu_functions.h"

namespace rondo::software {

template <>
Handler lower<Operation::XOR>(const Instruction& instruction, Op& op, LowerContext&) {
  const Handler zero = lower_zero(instruction, op);
  return zero ? zero : lower_binary<Xor>(instruction, op);
}

}  // namespace rondo::software
