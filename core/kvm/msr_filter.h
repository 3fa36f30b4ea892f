// Which MSRs KVM may answer by itself.
#pragma once

#include "core/kvm/vm.h"

namespace rondo::kvm {

// Everything exits to us but what the processor needs to execute by (core/kvm/state.cpp) and the bases of FS and GS:
// KVM's own answers follow the host, not the CPU model. The x2APIC's exit without a filter, since KVM has no APIC here.
Status install_msr_filter(Vm& vm);

}  // namespace rondo::kvm
