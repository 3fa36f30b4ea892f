// What this host's KVM can be trusted with: from the facts that `rondo doctor` finds to how a machine is run on it.
#pragma once

#include <string>
#include <vector>

#include "harness/board.h"
#include "harness/doctor/host_profile.h"
#include "harness/host/affinity.h"
#include "harness/kvm/host.h"

namespace rondo {

struct KvmPlan {
  KvmSettings settings;  // without its kicker
  // What a guest could observe here without the recording noticing, one phrase each; empty: nothing.
  std::vector<std::string> unlogged;
  std::string kernel_parameters;  // what keeps Linux away from it, to be added to a command line
  boot::PatchKinds find_patches;  // what is to be replaced in its text
};

enum class KvmCare : u8 {
  speed,         // as fast as it goes
  completeness,  // kernel code runs in software where a guest could otherwise see more that no log holds
  all_on_kvm     // kernel code too, also where that is slow: for tests
};

// Looks at the host, which takes a third of a second. Refuses a host without usable KVM, with one line of advice.
Result<KvmPlan> plan_kvm(KvmCare care);
Result<KvmPlan> plan_kvm(const doctor::HostProfile& profile, KvmCare care);
// What else a recording of this board is not guaranteed against, one line each.
std::vector<std::string> unpatched_marks(const KvmPlan& plan, const Board& board);

// Where CPUID shows the host's processor to programs (KvmSettings::user_cpuid_leaks): its answers become the machine's.
// Some leaves tell one processor from another, so the thread that runs the guest is to be pinned to this one: when the
// threads that help it have been started, because they would be pinned with it.
struct SeenProcessor {
  unsigned processor = 0;
  HostCpuid shown;
};
Result<SeenProcessor> see_processor();
// One that shows just this. Fails if there is none.
Result<SeenProcessor> see_processor(const HostCpuid& wanted);

}  // namespace rondo
