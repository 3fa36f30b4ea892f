// What CPUID and XGETBV show at CPL 3 on this host, asked from inside a guest.
#pragma once

#include "core/cpu/host_cpuid.h"
#include "core/kvm/system.h"

namespace rondo::doctor {

// Some leaves tell one processor of the host from another: the calling thread should be pinned to one
// (harness/host/affinity.h).
Result<HostCpuid> probe_host_cpuid(const kvm::System& system);

}  // namespace rondo::doctor
