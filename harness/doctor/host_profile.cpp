#include "harness/doctor/host_profile.h"

#include <linux/kvm.h>

#include "harness/doctor/counters.h"
#include "harness/doctor/kvm_probes.h"

namespace rondo::doctor {
namespace {

constexpr std::pair<const char*, int> kCapabilities[] = {
    {"immediate_exit", KVM_CAP_IMMEDIATE_EXIT},
    {"sync_regs", KVM_CAP_SYNC_REGS},
    {"msr_filter", KVM_CAP_X86_MSR_FILTER},
    {"user_space_msr", KVM_CAP_X86_USER_SPACE_MSR},
    {"exit_on_emulation_failure", KVM_CAP_EXIT_ON_EMULATION_FAILURE},
    {"dirty_ring", KVM_CAP_DIRTY_LOG_RING},
    {"tsc_control", KVM_CAP_TSC_CONTROL},
    {"hardware_breakpoints", KVM_CAP_GUEST_DEBUG_HW_BPS},
    {"xcrs", KVM_CAP_XCRS},
    {"debug_registers", KVM_CAP_DEBUGREGS},
    {"vcpu_events", KVM_CAP_VCPU_EVENTS},
};

}  // namespace

HostProfile examine_host(const char* path) {
  HostProfile profile;
  kvm::System::Opened opened = kvm::System::open(path);
  profile.kvm = opened.availability;
  profile.kvm_problem = opened.error.message;
  if (opened.system) {
    for (const auto& [name, number] : kCapabilities) profile.capabilities[name] = opened.system->capability(number);
    Result<KvmFacts> facts = probe_kvm(*opened.system);
    if (facts) {
      profile.facts = std::move(*facts);
    } else {
      profile.probe_problem = facts.error().message;
    }
  }
  profile.instructions = probe_instruction_counter();
  profile.conditional_branches = probe_branch_counter();
  return profile;
}

}  // namespace rondo::doctor
