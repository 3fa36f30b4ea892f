#include "harness/kvm/plan.h"

#include <algorithm>

#include "harness/doctor/findings.h"
#include "harness/doctor/host_cpuid.h"

namespace rondo {
namespace {

using doctor::Behaviour;

// Keeps glibc from choosing functions for what the processor has and the CPU model has not. Linux hands parameters that
// it does not know to init as environment.
constexpr char kGlibcTunables[] =
    " GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ,"
    "-AVX_Fast_Unaligned_Load,-BMI1,-BMI2,-LZCNT,-MOVBE,-FMA,-FMA4,-RTM,-XSAVE,-XSAVEC,-ERMS,-FSRM";

Result<SeenProcessor> look_at(unsigned processor) {
  const host::PinnedThread pinned(processor);
  const kvm::System::Opened opened = kvm::System::open();
  if (!opened.system) return opened.error;
  Result<HostCpuid> shown = doctor::probe_host_cpuid(*opened.system);
  if (!shown) return shown.error();
  return SeenProcessor{processor, std::move(*shown)};
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
  plan.settings.user_descriptors_leak = !facts.user_descriptors;
  plan.settings.user_cpuid_leaks = !facts.cpuid.user.honoured;
  plan.find_patches = {.time_stamps = kernel_on_kvm,
                       .cpuid = kernel_on_kvm && !facts.cpuid.kernel.honoured,
                       .random = kernel_on_kvm && (facts.rdrand.kernel != Behaviour::faults ||
                                                   facts.rdseed.kernel != Behaviour::faults)};
  // CR4.TSD at CPL 3 is the guest's own where its kernel runs on KVM.
  const bool trapped = facts.rdtsc.user == Behaviour::faults;
  plan.settings.host_traps_time_stamps = plan.settings.supervisor_in_software && !trapped && facts.rdtsc_faults_by_host;
  if (!plan.settings.supervisor_in_software || !(trapped || plan.settings.host_traps_time_stamps)) {
    plan.unlogged.push_back("RDTSC");
    plan.kernel_parameters = " clocksource=acpi_pm";  // the vDSO then asks the kernel for the time
  }
  // What programs see of the processor is recorded (pin_to_processor()), what the kernel sees is not.
  const auto leaks = [&](const doctor::AtLevels<Behaviour>& b) {
    return (kernel_on_kvm && b.kernel != Behaviour::faults) || b.user != Behaviour::faults;
  };
  if (kernel_on_kvm && !facts.cpuid.kernel.honoured) plan.unlogged.push_back("CPUID");
  if (leaks(facts.rdrand) || leaks(facts.rdseed)) plan.unlogged.push_back("RDRAND and RDSEED");
  if (leaks(facts.avx)) plan.unlogged.push_back("AVX");
  if (leaks(facts.fsgsbase)) plan.unlogged.push_back("FSGSBASE");
  if (!facts.user_descriptors) plan.unlogged.push_back("segment descriptors");
  if (!facts.undefined_flags) plan.unlogged.push_back("undefined flags");
  if (!facts.cpuid.user.honoured) plan.kernel_parameters += kGlibcTunables;
  return plan;
}

std::vector<std::string> unpatched_marks(const KvmPlan& plan, const Board& board) {
  if (!plan.find_patches.any()) return {};
  if (!board.text_known())
    return {"not guaranteed if the guest uses RDTSC: the image does not say where its code is, so none was replaced"};
  return {"not guaranteed if a kernel module or a program uses RDTSC: only those in the kernel's image were replaced"};
}

Result<SeenProcessor> see_processor() { return look_at(host::current_processor()); }

Result<SeenProcessor> see_processor(const HostCpuid& wanted) {
  for (const unsigned processor : host::allowed_processors()) {
    Result<SeenProcessor> seen = look_at(processor);
    if (!seen || seen->shown == wanted) return seen;
  }
  return Error{"no processor of this host shows programs the CPUID of the recording"};
}

}  // namespace rondo
