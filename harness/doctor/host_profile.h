// What the probes found out about this host: facts, not yet words.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/kvm/system.h"

namespace rondo::doctor {

// Something measured at both privilege levels of a guest.
template <class T>
struct AtLevels {
  T kernel{};
  T user{};
};

enum class Behaviour : u8 {
  unknown,  // could not be probed
  executes,
  faults,  // #UD or #GP, as the masked CPUID or CR4 asks for
  unemulated
};

// Features that a guest sees in CPUID although the CPU model hides them.
struct CpuidProbe {
  bool honoured = false;
  std::vector<std::string> leaked;  // by name, or "7.0:EBX.18"
  bool vendor_honoured = false;
};

struct DebugProbe {
  bool single_step = false;
  bool software_breakpoints = false;
  bool hardware_breakpoints = false;
};

enum class DirtyLog : u8 {
  misses,    // a page was written and not named
  superset,  // every written page is named, and some others
  exact
};

struct Counter {
  bool available = false;
  bool exact = false;
  std::string why;  // not available or not exact
};

struct KvmFacts {
  AtLevels<CpuidProbe> cpuid;
  AtLevels<Behaviour> rdtsc;           // with CR4.TSD: must fault at CPL 3, runs at CPL 0
  bool rdtsc_faults_by_host = false;   // at CPL 3, if the host's own CR4.TSD is set too (VcpuHandle::trap_time_stamps)
  AtLevels<Behaviour> rdrand, rdseed;  // hidden in CPUID
  AtLevels<Behaviour> xgetbv;          // without CR4.OSXSAVE
  AtLevels<Behaviour> avx;             // likewise
  AtLevels<Behaviour> fsgsbase;        // RDFSBASE without CR4.FSGSBASE
  bool user_descriptors = false;       // LAR at CPL 3 looks at the guest's descriptors, not at the host's
  bool undefined_flags = false;        // are as in the CPU model (docs/undefined-flags.md)
  AtLevels<std::vector<std::string>> not_emulated;
  AtLevels<unsigned> instructions_tried;
  AtLevels<DebugProbe> debug;
  bool single_step_rep = false;  // each iteration shows
  AtLevels<DirtyLog> dirty_log;
  bool syscall_enters_kernel = false;  // SYSCALL at CPL 3 goes on at CPL 0
  bool interrupts_by_program = false;  // INT n at CPL 3
  bool window_exact = false;           // the interrupt window opens exactly behind the STI shadow
  bool msr_exits = false;
  bool immediate_exit = false;
  AtLevels<double> mips;          // million instructions per second, in a loop of two
  AtLevels<double> port_exit_us;  // one OUT that comes to us
};

struct HostProfile {
  kvm::Availability kvm = kvm::Availability::missing;
  std::string kvm_problem;    // unless usable: why, and what to do
  std::string probe_problem;  // KVM opened, but a probe guest could not be made
  std::optional<KvmFacts> facts;
  std::map<std::string, int> capabilities;
  Counter instructions, conditional_branches;
};

// Takes about a second. `path`: the device to look at.
HostProfile examine_host(const char* path = kvm::kDevicePath);

}  // namespace rondo::doctor
