// CLC STC CMC CLD STD LAHF SAHF SALC.
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

const Op* clc(Vcpu& cpu, const Op* op) {
  cpu.lazy.set_cf(false);
  return next(cpu, op);
}
const Op* stc(Vcpu& cpu, const Op* op) {
  cpu.lazy.set_cf(true);
  return next(cpu, op);
}
const Op* cmc(Vcpu& cpu, const Op* op) {
  cpu.lazy.set_cf(!cpu.lazy.cf());
  return next(cpu, op);
}
const Op* cld(Vcpu& cpu, const Op* op) {
  cpu.rflags_rest &= ~flags::DF;
  return next(cpu, op);
}
const Op* std_(Vcpu& cpu, const Op* op) {
  cpu.rflags_rest |= flags::DF;
  return next(cpu, op);
}

inline constexpr u64 kLowFlags = flags::CF | flags::PF | flags::AF | flags::ZF | flags::SF;

const Op* lahf(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u8>(gpr_slot(RAX) + 1, static_cast<u8>((cpu.lazy.to_rflags() & kLowFlags) | flags::FIXED1));
  return next(cpu, op);
}
const Op* sahf(Vcpu& cpu, const Op* op) {
  const u64 overflow = cpu.lazy.of() ? flags::OF : 0;
  set_flags(cpu, LazyFlags::from_rflags((cpu.reg<u8>(gpr_slot(RAX) + 1) & kLowFlags) | overflow));
  return next(cpu, op);
}
// AL = CF ? 0xff : 0 (not in the SDM; AMD APM 3).
const Op* salc(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u8>(gpr_slot(RAX), cpu.lazy.cf() ? 0xff : 0);
  return next(cpu, op);
}

}  // namespace

template <>
Handler lower<Operation::CLC>(const Instruction&, Op&, LowerContext&) {
  return &clc;
}
template <>
Handler lower<Operation::STC>(const Instruction&, Op&, LowerContext&) {
  return &stc;
}
template <>
Handler lower<Operation::CMC>(const Instruction&, Op&, LowerContext&) {
  return &cmc;
}
template <>
Handler lower<Operation::CLD>(const Instruction&, Op&, LowerContext&) {
  return &cld;
}
template <>
Handler lower<Operation::STD>(const Instruction&, Op&, LowerContext&) {
  return &std_;
}
template <>
Handler lower<Operation::LAHF>(const Instruction&, Op&, LowerContext&) {
  return &lahf;
}
template <>
Handler lower<Operation::SAHF>(const Instruction&, Op&, LowerContext&) {
  return &sahf;
}
template <>
Handler lower<Operation::SALC>(const Instruction&, Op&, LowerContext&) {
  return &salc;
}

}  // namespace rondo::software
