// The CPU model as KVM wants it told: a table instead of a function.
#pragma once

#include <linux/kvm.h>

#include <vector>

namespace rondo::kvm {

// Every leaf of rondo-v1 with one vCPU (core/cpu/cpuid.h). KVM itself keeps the bits that follow the guest's state
// (OSXSAVE, the APIC bit).
std::vector<kvm_cpuid_entry2> cpuid_table();

}  // namespace rondo::kvm
