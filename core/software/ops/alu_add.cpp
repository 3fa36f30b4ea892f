// ADD and ADC.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/alu_functions.h"

namespace rondo::software {

template <>
Handler lower<Operation::ADD>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Add>(instruction, op);
}

template <>
Handler lower<Operation::ADC>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_binary<Adc>(instruction, op);
}

}  // namespace rondo::software
