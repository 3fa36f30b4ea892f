#include "tests/silicon/worker.h"

#include <map>
#include <set>
#include <sstream>

#include "tests/silicon/case_file.h"
#include "tests/silicon/generator.h"
#include "tests/silicon/minimise.h"
#include "tests/silicon/native_runner.h"

namespace rondo::silicon {
namespace {

struct Suspect {
  std::unique_ptr<Scenario> scenario;
  Failure failure;
};

class Worker {
 public:
  Worker(const WorkerPlan& plan, const Forms& forms, WorkerProgress& progress, std::FILE* failures,
         Reference& reference, std::unique_ptr<EngineRunner> engine)
      : plan_(plan),
        progress_(progress),
        failures_(failures),
        reference_(reference),
        generator_(forms, plan.seed, plan.comparison),
        engine_(std::move(engine)) {}

  void run() {
    const u64 batches = (plan_.cases + kBatchCases - 1) / kBatchCases;
    for (u64 number = plan_.index; number < batches; number += plan_.workers) {
      const u64 rest = plan_.cases - number * kBatchCases;
      generator_.make_batch(reference_.batch(), number, static_cast<unsigned>(std::min<u64>(rest, kBatchCases)));
      reference_.run();
      check_batch();
      progress_.lost = reference_.lost_cases();
      for (Suspect& suspect : suspects_) report(suspect);
      suspects_.clear();
    }
    progress_.kvm_entries = engine_->kvm_entries();
  }

 private:
  void check_batch() {
    const Batch& batch = reference_.batch();
    engine_->load(batch.data, batch.code);
    for (u32 i = 0; i < batch.case_count; ++i) {
      const TestCase& test = batch.cases[i];
      const Outcome& silicon = batch.outcomes[i];
      ++progress_.cases;
      progress_.instructions += test.instruction_count;
      if (!silicon.ran) continue;
      constexpr u32 kMisalignedMask = 1 << 17;  // MXCSR.MM, of AMD only: the model raises #GP instead of setting it
      if (silicon.final.fx.mxcsr & kMisalignedMask) {
        ++progress_.vendor_left_out;
        continue;
      }
      if (silicon.vector != kNoFault) ++progress_.faults;
      u64 left_out = 0;
      const Tolerance tolerance =
          tolerance_for(reference_, *engine_, test, batch.code, plan_.comparison.profile_host, left_out);
      progress_.flags_left_out += left_out;
      if (tolerance.approximate) ++progress_.approximate;
      for (const Drive drive : engine_->drives()) {
        engine_->run(test, drive, engine_outcome_);
        const Difference difference = compare(silicon, engine_outcome_, tolerance);
        if (!difference) continue;
        if (plan_.comparison.profile_host && !reference_.exact() && offset_not_canonical(silicon, engine_outcome_)) {
          ++progress_.vendor_left_out;
          break;
        }
        if (plan_.on_kvm && !explained_by_kvm(test, batch.code, silicon).empty()) {
          ++progress_.kvm_left_out;
          break;
        }
        ++progress_.mismatches;
        suspect(batch, i, {drive, difference, silicon});
        break;
      }
    }
  }

  // The first of each kind is kept; of sequences a few more, since what is at fault shows only after minimising.
  void suspect(const Batch& batch, u32 index, const Failure& failure) {
    const std::string names = operation_names(batch.cases[index], batch.code);
    const bool sequence = names.find('+') != std::string::npos;
    const std::string key = (sequence ? "sequence" : names) + '/' + failure.difference.kind;
    const unsigned limit = sequence ? 4 : 1;
    if (seen_[key]++ >= limit || reported_.size() >= plan_.most_failures) return;
    suspects_.push_back({extract(batch, index), failure});
  }

  void report(Suspect& suspect) {
    minimise(reference_, *engine_, *suspect.scenario, suspect.failure, plan_.comparison.profile_host);
    const Scenario& scenario = *suspect.scenario;
    const std::string names = operation_names(scenario.test, scenario.code);
    const std::string title = names + ": " + suspect.failure.difference.kind;
    if (!reported_.insert(title).second) return;
    ++progress_.kinds;
    StoredCase stored;
    stored.title = title;
    stored.host = reference_.describe();
    stored.scenario = scenario;
    stored.expected = suspect.failure.silicon;
    stored.tolerance = tolerance_for(reference_, *engine_, scenario, plan_.comparison.profile_host);
    std::ostringstream text;
    text << "# " << name_of(suspect.failure.drive) << ": " << suspect.failure.difference.detail << "\n";
    write_case(text, stored);
    std::fputs(text.str().c_str(), failures_);
    std::fflush(failures_);
  }

  const WorkerPlan& plan_;
  WorkerProgress& progress_;
  std::FILE* failures_;
  Reference& reference_;
  Generator generator_;
  std::unique_ptr<EngineRunner> engine_;
  Outcome engine_outcome_;
  std::vector<Suspect> suspects_;
  std::map<std::string, unsigned> seen_;
  std::set<std::string> reported_;
};

}  // namespace

bool run_worker(const WorkerPlan& plan, const Forms& forms, WorkerProgress& progress, std::FILE* failures) {
  auto engine = plan.on_kvm ? EngineRunner::create_on_kvm() : std::make_unique<EngineRunner>();
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().message.c_str());
    return false;
  }
  if (plan.stepped_reference) {
    Worker(plan, forms, progress, failures, *make_stepped_reference(), std::move(*engine)).run();
    return true;
  }
  auto native = NativeRunner::create();
  if (!native) {
    std::fprintf(stderr, "%s\n", native.error().message.c_str());
    return false;
  }
  Worker(plan, forms, progress, failures, **native, std::move(*engine)).run();
  return true;
}

}  // namespace rondo::silicon
