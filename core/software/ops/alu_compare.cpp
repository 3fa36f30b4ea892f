// CMP and TEST.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/alu_functions.h"

namespace rondo::software {

template <>
Handler lower<Operation::CMP>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Cmp>(instruction, op);
}

template <>
Handler lower<Operation::TEST>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Test>(instruction, op);
}

}  // namespace rondo::software
