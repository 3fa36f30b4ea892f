// CpuState <-> the registers of a KVM vCPU.
#pragma once

#include "core/cpu/state.h"
#include "core/kvm/vcpu.h"

namespace rondo::kvm {

// Something the CPU has begun to deliver and KVM will finish: between instructions it does not exist, and CpuState has
// no place for it.
bool delivery_in_flight(const kvm_vcpu_events& events);

// The parts.
kvm_regs to_regs(const CpuState& state);
void take_regs(const kvm_regs& regs, CpuState& state);
kvm_sregs to_sregs(const CpuState& state, u64 apic_base);
void take_segments(const kvm_sregs& sregs, CpuState& state);  // ES, CS, SS, DS, FS, GS
XsaveArea to_xsave(const CpuState& state);
void from_xsave(const XsaveArea& area, CpuState& state);

// Loads everything that KVM executes by. What it does not need (the MSRs that only we answer, the TSC's offset) stays
// in CpuState. `apic_base`: IA32_APIC_BASE.
Status load_state(VcpuHandle& vcpu, const CpuState& state, u64 apic_base);

// The inverse: replaces in `state` what KVM holds. Nothing may be in flight.
Status store_state(const VcpuHandle& vcpu, CpuState& state);

}  // namespace rondo::kvm
