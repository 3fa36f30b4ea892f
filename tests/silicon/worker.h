// One process of silicon_compare: makes batches, runs them on both sides, minimises what differs.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

#include "tests/silicon/forms.h"

namespace rondo::silicon {

struct WorkerPlan {
  u64 cases = 0;  // of all workers together
  u64 seed = 1;
  unsigned workers = 1;
  unsigned index = 0;
  unsigned most_failures = 100;  // kinds of failure that are minimised
  Comparison comparison{};
  bool stepped_reference = false;  // instead of the processor
  bool on_kvm = false;             // the KVM engine instead of the software engine
};

// In shared memory, written by the worker, read while it runs.
struct WorkerProgress {
  std::atomic<u64> cases{0};
  std::atomic<u64> instructions{0};  // those of the cases, as generated
  std::atomic<u64> faults{0};
  std::atomic<u64> mismatches{0};
  std::atomic<u64> kinds{0};  // of mismatches
  std::atomic<u64> lost{0};   // cases that the native runner did not survive
  std::atomic<u64> flags_left_out{0};
  std::atomic<u64> approximate{0};      // cases whose floating-point results were compared within a bound
  std::atomic<u64> kvm_left_out{0};     // mismatches that explained_by_kvm() knows
  std::atomic<u64> kvm_entries{0};      // how often KVM executed
  std::atomic<u64> vendor_left_out{0};  // cases that reached what only this vendor has
};

// `failures` receives minimised cases in the format of case_file.h. False: it could not start; the reason is on stderr.
bool run_worker(const WorkerPlan& plan, const Forms& forms, WorkerProgress& progress, std::FILE* failures);

}  // namespace rondo::silicon
