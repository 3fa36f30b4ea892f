#include "harness/doctor/findings.h"

#include <algorithm>
#include <cstdio>

namespace rondo::doctor {
namespace {

std::string listed(const std::vector<std::string>& names, std::size_t most = 12) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
  return text;
}

std::string number(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f %s" : "%.3g %s", value, unit);
  return text;
}

const char* word(Behaviour b) {
  switch (b) {
    case Behaviour::executes:
      return "executes";
    case Behaviour::faults:
      return "faults";
    case Behaviour::unemulated:
      return "KVM gives up";
    case Behaviour::unknown:
      return "unclear";
  }
  return "unclear";
}

// "executes at CPL 0, faults at CPL 3"
std::string both(const AtLevels<Behaviour>& b) {
  return std::string(word(b.kernel)) + " at CPL 0, " + word(b.user) + " at CPL 3";
}
std::string both(bool kernel, bool user) {
  if (kernel == user) return kernel ? "works at CPL 0 and CPL 3" : "does not work";
  return kernel ? "works at CPL 0 only" : "works at CPL 3 only";
}
Grade of(bool kernel, bool user) { return kernel && user ? Grade::good : kernel || user ? Grade::limited : Grade::bad; }

// Hidden, so it must fault at both levels.
Finding hidden(std::string id, std::string topic, const AtLevels<Behaviour>& b) {
  const bool kernel = b.kernel == Behaviour::faults, user = b.user == Behaviour::faults;
  return {std::move(id), std::move(topic), of(kernel, user),
          both(b) + (kernel && user ? "" : " although it is hidden")};
}

Finding cpuid_finding(const char* id, const char* topic, const CpuidProbe& probe) {
  if (probe.honoured) return {id, topic, Grade::good, "the guest sees the CPU model's CPUID"};
  std::string detail = probe.vendor_honoured ? "" : "the host's own vendor shows; ";
  if (!probe.leaked.empty()) detail += "features that the model hides show: " + listed(probe.leaked);
  return {id, topic, Grade::bad, detail};
}

Finding emulation_finding(const char* id, const char* topic, const std::vector<std::string>& failed, unsigned tried) {
  if (failed.empty()) return {id, topic, Grade::good, "all " + std::to_string(tried) + " tried execute"};
  return {id, topic, Grade::limited,
          std::to_string(failed.size()) + " of " + std::to_string(tried) + " fail: " + listed(failed, 30)};
}

Finding counter_finding(const char* id, const char* topic, const Counter& counter) {
  if (counter.exact) return {id, topic, Grade::good, "counts exactly"};
  return {id, topic, Grade::bad, (counter.available ? "not exact: " : "none here: ") + counter.why};
}

void add_facts(std::vector<Finding>& list, const KvmFacts& f) {
  list.push_back(cpuid_finding("cpuid_kernel", "CPUID at CPL 0", f.cpuid.kernel));
  list.push_back(cpuid_finding("cpuid_user", "CPUID at CPL 3", f.cpuid.user));
  const bool tsd = f.rdtsc.user == Behaviour::faults;
  const std::string help = f.rdtsc_faults_by_host ? ", but faults under the host's own CR4.TSD"
                                                  : ": a program's reads of the TSC cannot be intercepted";
  list.push_back({"rdtsc", "RDTSC with CR4.TSD", tsd || f.rdtsc_faults_by_host ? Grade::good : Grade::bad,
                  both(f.rdtsc) + (tsd ? "" : help)});
  list.push_back(hidden("rdrand", "RDRAND", f.rdrand));
  list.push_back(hidden("rdseed", "RDSEED", f.rdseed));
  list.push_back(hidden("xgetbv", "XGETBV", f.xgetbv));
  list.push_back(hidden("avx", "AVX", f.avx));
  list.push_back({"fsgsbase", "RDFSBASE",
                  of(f.fsgsbase.kernel == Behaviour::faults, f.fsgsbase.user == Behaviour::faults),
                  both(f.fsgsbase) + (f.fsgsbase.user == Behaviour::faults ? "" : " although CR4 does not allow it")});
  list.push_back(
      {"descriptors", "descriptors at CPL 3", f.user_descriptors ? Grade::good : Grade::bad,
       f.user_descriptors ? "the guest's own" : "the host's: LAR, loads of segment registers and SGDT tell"});
  list.push_back({"undefined_flags", "undefined flags", f.undefined_flags ? Grade::good : Grade::bad,
                  f.undefined_flags ? "as in the CPU model" : "not those of the CPU model"});
  list.push_back(emulation_finding("emulation_kernel", "instructions at CPL 0", f.not_emulated.kernel,
                                   f.instructions_tried.kernel));
  list.push_back(
      emulation_finding("emulation_user", "instructions at CPL 3", f.not_emulated.user, f.instructions_tried.user));
  list.push_back(
      {"syscall", "SYSCALL", f.syscall_enters_kernel ? Grade::good : Grade::bad,
       f.syscall_enters_kernel ? "enters the kernel" : "does not enter the kernel: the guest goes on at CPL 3"});
  list.push_back({"int_n", "INT n at CPL 3", f.interrupts_by_program ? Grade::good : Grade::bad,
                  f.interrupts_by_program ? "enters the kernel" : "raises something else than it should"});
  list.push_back({"single_step", "single step", of(f.debug.kernel.single_step, f.debug.user.single_step),
                  both(f.debug.kernel.single_step, f.debug.user.single_step)});
  list.push_back({"single_step_rep", "single step in REP", f.single_step_rep ? Grade::good : Grade::limited,
                  f.single_step_rep ? "each iteration shows" : "an iteration does not always show"});
  list.push_back({"software_breakpoints", "INT3 breakpoints",
                  of(f.debug.kernel.software_breakpoints, f.debug.user.software_breakpoints),
                  both(f.debug.kernel.software_breakpoints, f.debug.user.software_breakpoints)});
  list.push_back({"hardware_breakpoints", "hardware breakpoints",
                  of(f.debug.kernel.hardware_breakpoints, f.debug.user.hardware_breakpoints),
                  both(f.debug.kernel.hardware_breakpoints, f.debug.user.hardware_breakpoints)});
  const bool names_all = f.dirty_log.kernel != DirtyLog::misses && f.dirty_log.user != DirtyLog::misses;
  const bool exact = f.dirty_log.kernel == DirtyLog::exact && f.dirty_log.user == DirtyLog::exact;
  list.push_back({"dirty_log", "dirty page log", names_all ? Grade::good : Grade::bad,
                  exact       ? "names exactly the pages written"
                  : names_all ? "names every page written, and some others (harmless)"
                              : "misses pages that were written"});
  list.push_back({"interrupt_window", "interrupt window", f.window_exact ? Grade::good : Grade::limited,
                  f.window_exact ? "opens exactly behind the STI shadow" : "does not open where it should"});
  list.push_back({"msr_filter", "MSR accesses to us", f.msr_exits ? Grade::good : Grade::bad,
                  f.msr_exits ? "they exit" : "they do not exit"});
  list.push_back({"kick", "interrupting a busy guest", f.immediate_exit ? Grade::good : Grade::bad,
                  f.immediate_exit ? "works" : "does not work"});
  const double slow = 100;  // a software engine is faster below this
  list.push_back(
      {"speed_kernel", "speed at CPL 0", f.mips.kernel >= slow ? Grade::good : Grade::limited,
       number(f.mips.kernel, "million instructions/s") + ", a port access " + number(f.port_exit_us.kernel, "us")});
  list.push_back(
      {"speed_user", "speed at CPL 3", f.mips.user >= slow ? Grade::good : Grade::limited,
       number(f.mips.user, "million instructions/s") + ", a port access " + number(f.port_exit_us.user, "us")});
}

// In programs: a recorded guest's kernel runs on the software engine. What CPUID and XGETBV show is recorded.
bool leaks_instructions(const KvmFacts& f) {
  const auto leaks = [](const AtLevels<Behaviour>& b) { return b.user != Behaviour::faults; };
  return leaks(f.rdrand) || leaks(f.rdseed) || leaks(f.avx) || leaks(f.fsgsbase);
}

}  // namespace

std::vector<Finding> findings(const HostProfile& p) {
  std::vector<Finding> list;
  if (p.facts) {
    list.push_back({"kvm", "/dev/kvm", Grade::good, "present and usable"});
    add_facts(list, *p.facts);
  } else {
    list.push_back({"kvm", "/dev/kvm", Grade::bad, p.kvm_problem.empty() ? p.probe_problem : p.kvm_problem});
  }
  list.push_back(counter_finding("instruction_counter", "counter of instructions", p.instructions));
  list.push_back(counter_finding("branch_counter", "counter of cond. branches", p.conditional_branches));
  return list;
}

std::vector<Finding> conclusions(const HostProfile& p) {
  std::vector<Finding> list;
  list.push_back({"software", "software engine", Grade::good,
                  "runs, records and replays everything here, bit for bit; it needs nothing of this host"});
  list.push_back({"replay", "replay of recordings", Grade::good,
                  "every recording, also one made on KVM elsewhere, replays here on the software engine"});
  if (!p.facts) {
    list.push_back({"run_kvm", "run on KVM", Grade::bad, "not on this host (see /dev/kvm above)"});
    return list;
  }
  const KvmFacts& f = *p.facts;
  const bool remembers = f.dirty_log.kernel != DirtyLog::misses && f.dirty_log.user != DirtyLog::misses;
  const bool can_run = f.msr_exits && f.immediate_exit && remembers;
  if (!can_run) {
    list.push_back(
        {"run_kvm", "run on KVM", Grade::bad,
         std::string("refused: this KVM ") + (!f.msr_exits        ? "does not hand us MSR accesses"
                                              : !f.immediate_exit ? "cannot be interrupted"
                                                                  : "does not say which pages were written")});
    return list;
  }
  list.push_back(
      {"run_kvm", "run on KVM", f.mips.kernel < 100 ? Grade::limited : Grade::good,
       f.mips.kernel < 100
           ? "works; kernel code is emulated here and slower than on the software engine, programs run at full speed"
           : "works at full speed"});
  if (!f.not_emulated.kernel.empty() || !f.not_emulated.user.empty()) {
    list.push_back({"handover", "what KVM cannot execute", Grade::limited,
                    "is executed by the software engine, one instruction at a time; the guest does not notice"});
  }
  const bool leaks = leaks_instructions(f), tables = !f.user_descriptors, open = !f.undefined_flags;
  const bool tsc = f.rdtsc.user != Behaviour::faults && !f.rdtsc_faults_by_host;
  if (!leaks && !tsc && !tables && !open) {
    list.push_back({"record_kvm", "record on KVM", Grade::good,
                    "nothing unlogged can reach a guest, whose kernel code runs on the software engine"});
  } else {
    std::string why = "complete only for guests that keep away from what leaks here:";
    if (leaks) why += " instructions that the CPU model hides (RDRAND, RDSEED, AVX or FSGSBASE);";
    if (tables) why += " programs that load segment registers or look at descriptors;";
    if (tsc) why += " RDTSC in programs;";
    if (open) why += " programs that are interrupted while flags are undefined;";
    why += " a replay detects such a guest and says so";
    list.push_back({"record_kvm", "record on KVM", Grade::limited, why});
  }
  const bool counter = p.instructions.exact || p.conditional_branches.exact;
  list.push_back(
      {"asynchronous", "interrupting busy guests", counter ? Grade::good : Grade::limited,
       counter ? "the Moment can be named by a counter"
               : "the Moment is named by the complete state (registers and memory), since no counter is exact here"});
  const bool stops = f.debug.user.hardware_breakpoints && f.debug.kernel.hardware_breakpoints;
  list.push_back({"replay_kvm", "replay on KVM", stops || counter ? Grade::good : Grade::limited,
                  stops || counter
                      ? "possible"
                      : "no breakpoints and no counter: the stretch up to an interruption is replayed in software"});
  return list;
}

bool nothing_withheld(const std::vector<Finding>& concluded) {
  return std::all_of(concluded.begin(), concluded.end(), [](const Finding& f) { return f.grade == Grade::good; });
}

}  // namespace rondo::doctor
