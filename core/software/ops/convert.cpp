// CBW CWDE CDQE, CWD CDQ CQO.
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

// rAX = sign-extended lower half of rAX.
template <class From, class To>
const Op* widen(Vcpu& cpu, const Op* op) {
  const auto v = static_cast<std::make_signed_t<From>>(cpu.reg<From>(gpr_slot(RAX)));
  cpu.set_reg<To>(gpr_slot(RAX), static_cast<To>(v));
  return next(cpu, op);
}

// rDX = sign of rAX.
template <class T>
const Op* sign(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(gpr_slot(RDX),
                 static_cast<std::make_signed_t<T>>(cpu.reg<T>(gpr_slot(RAX))) < 0 ? static_cast<T>(~T{0}) : T{0});
  return next(cpu, op);
}

}  // namespace

template <>
Handler lower<Operation::CBW>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &widen<u8, u16>, &widen<u16, u32>, &widen<u32, u64>);
}

template <>
Handler lower<Operation::CWD>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &sign<u16>, &sign<u32>, &sign<u64>);
}

}  // namespace rondo::software
