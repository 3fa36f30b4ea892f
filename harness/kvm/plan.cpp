#include "harness/kvm/plan.h"

#include <algorithm>

#include "harness/doctor/findings.h"

namespace rondo {
namespace {

using doctor::Behaviour;

bool leaks(const doctor::AtLevels<Behaviour>& b) {
  return b.kernel != Behaviour::faults || b.user != Behaviour::faults;
}

}  // namespace

Result<KvmPlan> plan_kvm(KvmCare care) { return plan_kvm(doctor::examine_host(), care); }

Result<KvmPlan> plan_kvm(const doctor::HostProfile& profile, KvmCare care) {
  const std::string software = "; --engine software works everywhere";
  if (!profile.facts) {
    const std::string& why = profile.kvm_problem.empty() ? profile.probe_problem : profile.kvm_problem;
    return Error{"--engine kvm: " + why + (why.find("--engine software") == std::string::npos ? software : "")};
  }
  const std::vector<doctor::Finding> concluded = doctor::conclusions(profile);
  const auto run = std::find_if(concluded.begin(), concluded.end(), [](const auto& f) { return f.id == "run_kvm"; });
  if (run == concluded.end() || run->grade == doctor::Grade::bad)
    return Error{"--engine kvm: not on this host: " + (run == concluded.end() ? "" : run->detail) + software};

  const doctor::KvmFacts& facts = *profile.facts;
  KvmPlan plan;
  plan.settings.exact_windows = facts.window_exact;
  // Where KVM emulates kernel code, the software engine is quicker. Everywhere it is complete: RDTSC does not exit.
  constexpr double kSlowMips = 100;
  const bool slow = facts.mips.kernel < kSlowMips || !facts.syscall_enters_kernel;
  const bool kernel_on_kvm = care == KvmCare::all_on_kvm || (!slow && care == KvmCare::speed);
  plan.settings.supervisor_in_software = !kernel_on_kvm;
  plan.settings.user_cpuid_leaks = !facts.cpuid.user.honoured;
  plan.find_patches = {.time_stamps = kernel_on_kvm,
                       .random = kernel_on_kvm && (facts.rdrand.kernel != Behaviour::faults ||
                                                   facts.rdseed.kernel != Behaviour::faults)};
  // CR4.TSD at CPL 3 is the guest's own where its kernel runs on KVM.
  const bool trapped = facts.rdtsc.user == Behaviour::faults;
  plan.settings.host_traps_time_stamps = plan.settings.supervisor_in_software && !trapped && facts.rdtsc_faults_by_host;
  if (!plan.settings.supervisor_in_software || !(trapped || plan.settings.host_traps_time_stamps)) {
    plan.unlogged.push_back("RDTSC");
    plan.kernel_parameters = " clocksource=acpi_pm";  // the vDSO then asks the kernel for the time
  }
  if (!facts.cpuid.kernel.honoured || !facts.cpuid.user.honoured) plan.unlogged.push_back("CPUID");
  if (leaks(facts.rdrand) || leaks(facts.rdseed)) plan.unlogged.push_back("RDRAND and RDSEED");
  if (leaks(facts.xgetbv) || leaks(facts.avx)) plan.unlogged.push_back("XGETBV and AVX");
  return plan;
}

std::vector<std::string> unpatched_marks(const KvmPlan& plan, const Board& board) {
  if (!plan.find_patches.any()) return {};
  if (!board.text_known())
    return {"not guaranteed if the guest uses RDTSC: the image does not say where its code is, so none was replaced"};
  return {"not guaranteed if a kernel module or a program uses RDTSC: only those in the kernel's image were replaced"};
}

}  // namespace rondo
