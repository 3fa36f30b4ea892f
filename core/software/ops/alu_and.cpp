// AND and OR.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/alu_functions.h"

namespace rondo::software {

template <>
Handler lower<Operation::AND>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<And>(instruction, op);
}

template <>
Handler lower<Operation::OR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Or>(instruction, op);
}

}  // namespace rondo::software
