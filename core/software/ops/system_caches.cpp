// Cache and TLB control, SMAP's gate, and what the CPU model does not have.
#include "core/software/mode.h"
#include "core/software/ops/system_forms.h"

namespace rondo::software {
namespace {

// Caches and TLB are invisible (paging.h): there is nothing to invalidate.
const Op* invalidate(Vcpu& cpu, const Op* op) {
  if (cpu.cpl != 0) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  return next(cpu, op);
}

const Op* invalidate_page(Vcpu& cpu, const Op* op) {
  if (cpu.cpl == 0) ++cpu.flushes;
  return invalidate(cpu, op);
}

template <bool Set>
const Op* set_ac(Vcpu& cpu, const Op* op) {
  if (cpu.cpl != 0) [[unlikely]]
    return raise(cpu, op, fault_ud());
  const u64 old = cpu.rflags_rest;
  cpu.rflags_rest = Set ? old | flags::AC : old & ~flags::AC;
  if (cpu.rflags_rest != old) privilege_context_changed(cpu);
  return next(cpu, op);
}

}  // namespace

template <>
Handler lower<Operation::INVLPG>(const Instruction& instruction, Op&, LowerContext&) {
  return is_memory(instruction.operands[0]) ? &invalidate_page : nullptr;
}
template <>
Handler lower<Operation::INVD>(const Instruction&, Op&, LowerContext&) {
  return &invalidate;
}
template <>
Handler lower<Operation::WBINVD>(const Instruction&, Op&, LowerContext&) {
  return &invalidate;
}
template <>
Handler lower<Operation::STAC>(const Instruction&, Op&, LowerContext&) {
  return &set_ac<true>;
}
template <>
Handler lower<Operation::CLAC>(const Instruction&, Op&, LowerContext&) {
  return &set_ac<false>;
}

// Not in rondo-v1: #UD, as without their CPUID bits.
template <>
Handler lower<Operation::INVPCID>(const Instruction&, Op&, LowerContext&) {
  return nullptr;
}
template <>
Handler lower<Operation::MONITOR>(const Instruction&, Op&, LowerContext&) {
  return nullptr;
}
template <>
Handler lower<Operation::MWAIT>(const Instruction&, Op&, LowerContext&) {
  return nullptr;
}

}  // namespace rondo::software
