// The probes that run inside a tiny guest.
#pragma once

#include "core/kvm/system.h"
#include "harness/doctor/host_profile.h"

namespace rondo::doctor {

Result<KvmFacts> probe_kvm(const kvm::System& system);

}  // namespace rondo::doctor
