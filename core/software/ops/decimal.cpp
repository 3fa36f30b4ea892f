// AAA AAS AAD AAM DAA DAS (SDM 2A). Invalid in 64-bit mode, where the decoder rejects them.
#include "core/software/ops/alu_forms.h"
#include "core/software/ops/decimal_math.h"

namespace rondo::software {
namespace {

using Adjust = DecimalResult (*)(u16 ax, LazyFlags before);

template <Adjust adjust>
const Op* adjusted(Vcpu& cpu, const Op* op) {
  const DecimalResult r = adjust(cpu.reg<u16>(gpr_slot(RAX)), cpu.lazy);
  cpu.set_reg<u16>(gpr_slot(RAX), r.ax);
  set_flags(cpu, r.flags);
  return next(cpu, op);
}

const Op* aad(Vcpu& cpu, const Op* op) {
  const DecimalResult r = decimal_aad(cpu.reg<u16>(gpr_slot(RAX)), static_cast<u8>(op->imm));
  cpu.set_reg<u16>(gpr_slot(RAX), r.ax);
  set_flags(cpu, r.flags);
  return next(cpu, op);
}

const Op* aam(Vcpu& cpu, const Op* op) {
  if (static_cast<u8>(op->imm) == 0) {
    cpu.fault = fault_de();
    return leave_with_fault(cpu, op);
  }
  const DecimalResult r = decimal_aam(cpu.reg<u16>(gpr_slot(RAX)), static_cast<u8>(op->imm));
  cpu.set_reg<u16>(gpr_slot(RAX), r.ax);
  set_flags(cpu, r.flags);
  return next(cpu, op);
}

}  // namespace

template <>
Handler lower<Operation::AAA>(const Instruction&, Op&, LowerContext&) {
  return &adjusted<decimal_aaa>;
}
template <>
Handler lower<Operation::AAS>(const Instruction&, Op&, LowerContext&) {
  return &adjusted<decimal_aas>;
}
template <>
Handler lower<Operation::DAA>(const Instruction&, Op&, LowerContext&) {
  return &adjusted<decimal_daa>;
}
template <>
Handler lower<Operation::DAS>(const Instruction&, Op&, LowerContext&) {
  return &adjusted<decimal_das>;
}
template <>
Handler lower<Operation::AAD>(const Instruction&, Op&, LowerContext&) {
  return &aad;
}
template <>
Handler lower<Operation::AAM>(const Instruction&, Op&, LowerContext&) {
  return &aam;
}

}  // namespace rondo::software
