// RDMSR, WRMSR, time stamps, CPUID.
#include "core/software/system/msr.h"

#include "core/cpu/cpuid.h"
#include "core/software/ops/system_forms.h"

namespace rondo::software {
namespace {

void begin_access(Vcpu& cpu, const Op& op, u32 index) {
  require_cpl0(cpu);
  if (is_event_msr(index)) {
    cpu.begin_event(&op);
  } else {
    cpu.sync_clock(&op);
  }
}

void rdmsr(Vcpu& cpu, const Op& op) {
  const u32 index = cpu.reg<u32>(gpr_slot(RCX));
  begin_access(cpu, op, index);
  u64 value = 0;
  if (!read_msr(cpu, index, value)) throw fault_gp(0);
  set_edx_eax(cpu, value);
}

void wrmsr(Vcpu& cpu, const Op& op) {
  const u32 index = cpu.reg<u32>(gpr_slot(RCX));
  begin_access(cpu, op, index);
  const u64 value = u64{cpu.reg<u32>(gpr_slot(RDX))} << 32 | cpu.reg<u32>(gpr_slot(RAX));
  if (!write_msr(cpu, index, value)) throw fault_gp(0);
}

bool may_read_time(const Vcpu& cpu) { return cpu.cpl == 0 || !(cpu.arch.cr4 & cr4::TSD); }

// Where time is sampled, a time stamp is a synchronous event: the driver looks after it.
template <bool kWithAux>
[[gnu::noinline]] const Op* sampled_time_stamp(Vcpu& cpu, const Op* op) {
  const u64 rip = cpu.slots[kSlotRip / 8] + op->next_offset - op->length;
  cpu.clock->begin_time_stamp(InstrCount{cpu.count_before(op)}, rip);
  put_time_stamp<kWithAux>(cpu);
  cpu.attention = true;
  return leave_after(cpu, op);
}

template <bool kWithAux>
const Op* time_stamp(Vcpu& cpu, const Op* op) {
  if (!may_read_time(cpu)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  if (cpu.clock->sampled()) [[unlikely]]
    return sampled_time_stamp<kWithAux>(cpu, op);
  cpu.sync_clock(op);
  put_time_stamp<kWithAux>(cpu);
  return next(cpu, op);
}

// The model has no performance counters: every index is out of range, and without CR4.PCE the instruction is
// privileged. #GP(0) either way.
const Op* rdpmc(Vcpu& cpu, const Op* op) { return raise(cpu, op, fault_gp(0)); }

CpuidResult model_cpuid(Vcpu& cpu, u32 leaf, u32 subleaf) {
  constexpr u64 kApicEnable = 1 << 11;
  u64 apic_base = kApicEnable;
  if (cpu.apic->owns_msr(msr::APIC_BASE)) cpu.apic->read_msr(msr::APIC_BASE, apic_base);
  return cpuid({.leaf = leaf,
                .subleaf = subleaf,
                .code64 = cpu.code64(),
                .apic_enabled = (apic_base & kApicEnable) != 0});
}

void put_result(Vcpu& cpu, const CpuidResult& result) {
  cpu.set_reg<u32>(gpr_slot(RAX), result.eax);
  cpu.set_reg<u32>(gpr_slot(RBX), result.ebx);
  cpu.set_reg<u32>(gpr_slot(RCX), result.ecx);
  cpu.set_reg<u32>(gpr_slot(RDX), result.edx);
}

void cpuid_body(Vcpu& cpu, const Op&) {
  const u32 leaf = cpu.reg<u32>(gpr_slot(RAX)), subleaf = cpu.reg<u32>(gpr_slot(RCX));
  std::optional<CpuidResult> of_host;
  if (cpu.cpl == 3) {
    if (cpu.host_cpuid) of_host = cpu.host_cpuid->find(leaf, subleaf);
    if (!of_host) cpu.clock->note_user_cpuid(cpu.rip);
  }
  put_result(cpu, of_host ? *of_host : model_cpuid(cpu, leaf, subleaf));
}

// The model has no XSAVE: #UD, but for programs that a host lets read it all the same.
void xgetbv(Vcpu& cpu, const Op&) {
  const bool known = cpu.cpl == 3 && cpu.host_cpuid && cpu.host_cpuid->xcr0 && cpu.reg<u32>(gpr_slot(RCX)) == 0;
  if (!known) throw fault_ud();
  set_edx_eax(cpu, *cpu.host_cpuid->xcr0);
}

}  // namespace

void put_model_cpuid(Vcpu& cpu) {
  put_result(cpu, model_cpuid(cpu, cpu.reg<u32>(gpr_slot(RAX)), cpu.reg<u32>(gpr_slot(RCX))));
}

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
  return &time_stamp<false>;
}
template <>
Handler lower<Operation::RDTSCP>(const Instruction&, Op&, LowerContext&) {
  return &time_stamp<true>;
}
template <>
Handler lower<Operation::RDPMC>(const Instruction&, Op&, LowerContext&) {
  return &rdpmc;
}
template <>
Handler lower<Operation::CPUID>(const Instruction&, Op&, LowerContext&) {
  return &cold<cpuid_body>;
}
template <>
Handler lower<Operation::XGETBV>(const Instruction&, Op&, LowerContext&) {
  return &cold<xgetbv>;
}

}  // namespace rondo::software
