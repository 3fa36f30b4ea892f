// RDMSR, WRMSR, time stamps, CPUID.
#include "core/software/system/msr.h"

#include "core/cpu/cpuid.h"
#include "core/software/ops/system_forms.h"

namespace rondo::software {
namespace {

void set_edx_eax(Vcpu& cpu, u64 value) {
  cpu.set_reg<u32>(gpr_slot(RAX), static_cast<u32>(value));
  cpu.set_reg<u32>(gpr_slot(RDX), static_cast<u32>(value >> 32));
}

void rdmsr(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  cpu.sync_clock(&op);
  u64 value = 0;
  if (!read_msr(cpu, cpu.reg<u32>(gpr_slot(RCX)), value)) throw fault_gp(0);
  set_edx_eax(cpu, value);
}

void wrmsr(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  cpu.sync_clock(&op);
  const u64 value = u64{cpu.reg<u32>(gpr_slot(RDX))} << 32 | cpu.reg<u32>(gpr_slot(RAX));
  if (!write_msr(cpu, cpu.reg<u32>(gpr_slot(RCX)), value)) throw fault_gp(0);
}

bool may_read_time(const Vcpu& cpu) { return cpu.cpl == 0 || !(cpu.arch.cr4 & cr4::TSD); }

const Op* rdtsc(Vcpu& cpu, const Op* op) {
  if (!may_read_time(cpu)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  cpu.sync_clock(op);
  set_edx_eax(cpu, cpu.tsc());
  return next(cpu, op);
}

const Op* rdtscp(Vcpu& cpu, const Op* op) {
  if (!may_read_time(cpu)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  cpu.sync_clock(op);
  set_edx_eax(cpu, cpu.tsc());
  cpu.set_reg<u32>(gpr_slot(RCX), static_cast<u32>(cpu.arch.tsc_aux));
  return next(cpu, op);
}

// The model has no performance counters: every index is out of range, and without CR4.PCE the instruction is
// privileged. #GP(0) either way.
const Op* rdpmc(Vcpu& cpu, const Op* op) { return raise(cpu, op, fault_gp(0)); }

void cpuid_body(Vcpu& cpu, const Op&) {
  constexpr u64 kApicEnable = 1 << 11;
  u64 apic_base = kApicEnable;
  if (cpu.apic->owns_msr(msr::APIC_BASE)) cpu.apic->read_msr(msr::APIC_BASE, apic_base);
  const CpuidResult result = cpuid({.leaf = cpu.reg<u32>(gpr_slot(RAX)),
                                    .subleaf = cpu.reg<u32>(gpr_slot(RCX)),
                                    .code64 = cpu.code64(),
                                    .apic_enabled = (apic_base & kApicEnable) != 0});
  cpu.set_reg<u32>(gpr_slot(RAX), result.eax);
  cpu.set_reg<u32>(gpr_slot(RBX), result.ebx);
  cpu.set_reg<u32>(gpr_slot(RCX), result.ecx);
  cpu.set_reg<u32>(gpr_slot(RDX), result.edx);
}

}  // namespace

template <>
Handler lower<Operation::RDMSR>(const Instruction&, Op&, LowerContext&) {
  return &cold<rdmsr>;
}
template <>
Handler lower<Operation::WRMSR>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<wrmsr>(context);
}
template <>
Handler lower<Operation::RDTSC>(const Instruction&, Op&, LowerContext&) {
  return &rdtsc;
}
template <>
Handler lower<Operation::RDTSCP>(const Instruction&, Op&, LowerContext&) {
  return &rdtscp;
}
template <>
Handler lower<Operation::RDPMC>(const Instruction&, Op&, LowerContext&) {
  return &rdpmc;
}
template <>
Handler lower<Operation::CPUID>(const Instruction&, Op&, LowerContext&) {
  return &cold<cpuid_body>;
}

}  // namespace rondo::software
