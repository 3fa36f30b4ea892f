// silicon_compare: instructions of the software engine against the host's processor. docs/instruction-tests.md.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <new>

#include "tests/silicon/case_file.h"
#include "tests/silicon/engine_runner.h"
#include "tests/silicon/native_runner.h"
#include "tests/silicon/scenario.h"
#include "tests/silicon/worker.h"
#include "tests/slow.h"

namespace {

using namespace rondo;
using namespace rondo::silicon;

constexpr int kSkipped = 77;  // CTest's SKIP_RETURN_CODE
constexpr unsigned kMostWorkers = 256;

struct Options {
  u64 cases = 1'000'000;
  u64 seed = 1;
  std::string filter;
  unsigned jobs = 1;
  std::string json;
  std::string failures;
  std::string capture;
  std::string replay;
  bool slow = false;
  bool stepped = false;
  bool kvm = false;
};

struct Totals {
  u64 cases = 0, instructions = 0, faults = 0, mismatches = 0, kinds = 0, lost = 0, flags_left_out = 0, approximate = 0,
      vendor = 0, kvm_left_out = 0, kvm_entries = 0;
};

Totals sum(const WorkerProgress* progress, unsigned workers) {
  Totals t;
  for (unsigned i = 0; i < workers; ++i) {
    const WorkerProgress& p = progress[i];
    t.cases += p.cases, t.instructions += p.instructions, t.faults += p.faults, t.mismatches += p.mismatches,
        t.kinds += p.kinds;
    t.lost += p.lost, t.flags_left_out += p.flags_left_out, t.approximate += p.approximate,
        t.vendor += p.vendor_left_out, t.kvm_left_out += p.kvm_left_out, t.kvm_entries += p.kvm_entries;
  }
  return t;
}

// Workers are processes: a broken invariant in the engine ends one of them, and is counted.
unsigned wait_for(unsigned workers, const WorkerProgress* progress, u64 cases) {
  const bool show = isatty(STDERR_FILENO);
  unsigned broken = 0;
  for (unsigned running = workers; running > 0;) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended > 0) {
      --running;
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++broken;
      continue;
    }
    usleep(200'000);
    if (!show) continue;
    const Totals t = sum(progress, workers);
    fmt::print(stderr, "\r{} of {} cases, {} mismatches of {} kinds ", t.cases, cases, t.mismatches, t.kinds);
  }
  if (show) fmt::print(stderr, "\n");
  return broken;
}

void print_failures(std::FILE* const* files, unsigned workers, std::FILE* out) {
  for (unsigned i = 0; i < workers; ++i) {
    std::rewind(files[i]);
    char line[4096];
    while (std::fgets(line, sizeof line, files[i])) std::fputs(line, out);
  }
}

nlohmann::ordered_json summary(const Options& options, const Forms& forms, const HostCpu& host, const Totals& t,
                               unsigned broken, double seconds) {
  nlohmann::ordered_json j;
  if (options.kvm) j["engine"] = "kvm";
  j["compared_with"] = options.stepped ? "the stepped engine" : host.describe();
  j["seed"] = options.seed;
  j["cases"] = t.cases;
  j["instructions"] = t.instructions;
  j["faults"] = t.faults;
  j["operations"] = forms.by_operation.size();
  j["forms"] = forms.form_count;
  j["mismatches"] = t.mismatches;
  j["kinds_of_mismatch"] = t.kinds;
  j["cases_lost"] = t.lost;
  j["workers_broken"] = broken;
  j["undefined_flags_left_out"] = t.flags_left_out;
  j["approximate_results"] = t.approximate;
  j["vendor_specific_left_out"] = t.vendor;
  if (options.kvm) j["explained_by_kvm"] = t.kvm_left_out;
  if (options.kvm) j["kvm_entries"] = t.kvm_entries;
  for (const auto& [reason, count] : forms.excluded_encodings) j["encodings_left_out"][reason] = count;
  j["wall_s"] = seconds;
  return j;
}

int compare_all(const Options& options) {
  const HostCpu host = NativeRunner::host_cpu();
  if (host.family == 0 && !options.stepped) {
    fmt::print("skipped: {} cases, because the host is not x86-64 Linux\n", options.cases);
    return kSkipped;
  }
  if (options.kvm) {
    if (const auto engine = EngineRunner::create_on_kvm(); !engine) {
      fmt::print("skipped: {} cases, because {}\n", options.cases, engine.error().message);
      return kSkipped;
    }
  }
  const Comparison comparison{
      .profile_host = (options.stepped && !options.kvm) || profile_applies(host.vendor, host.family),
      .in_guests = options.stepped};
  const Forms forms(options.filter, comparison);
  if (forms.by_operation.empty()) {
    fmt::print(stderr, "no operation is named {}: see decoder/operations.txt\n", options.filter);
    return 2;
  }
  void* shared =
      mmap(nullptr, sizeof(WorkerProgress) * options.jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* progress = new (shared) WorkerProgress[options.jobs];
  std::vector<std::FILE*> failures(options.jobs);
  const auto start = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < options.jobs; ++i) {
    failures[i] = std::tmpfile();
    if (!failures[i]) return 1;
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
      WorkerPlan plan{.cases = options.cases, .seed = options.seed, .workers = options.jobs, .index = i};
      plan.stepped_reference = options.stepped;
      plan.on_kvm = options.kvm;
      plan.comparison = comparison;
      _exit(run_worker(plan, forms, progress[i], failures[i]) ? 0 : 1);
    }
  }
  const unsigned broken = wait_for(options.jobs, progress, options.cases);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Totals t = sum(progress, options.jobs);
  print_failures(failures.data(), options.jobs, stdout);
  if (!options.failures.empty() && t.kinds) {
    if (std::FILE* out = std::fopen(options.failures.c_str(), "w")) {
      print_failures(failures.data(), options.jobs, out);
      std::fclose(out);
    }
  }
  const auto report = summary(options, forms, host, t, broken, seconds);
  fmt::print("{}\n", report.dump(2));
  if (!options.json.empty()) {
    std::FILE* out = std::fopen(options.json.c_str(), "w");
    if (!out) {
      fmt::print(stderr, "cannot write {}\n", options.json);
      return 2;
    }
    fmt::print(out, "{}\n", report.dump(2));
    std::fclose(out);
  }
  if (options.kvm && t.kvm_entries < t.cases / 2) {
    fmt::print(stderr, "KVM executed {} of {} cases: this compares the software engine\n", t.kvm_entries, t.cases);
    return 1;
  }
  return t.mismatches == 0 && t.lost == 0 && broken == 0 && t.cases == options.cases ? 0 : 1;
}

// Runs stored cases on this host's processor and prints them with what it did.
int capture_all(const std::string& path) {
  const auto cases = read_cases(path);
  if (!cases) {
    fmt::print(stderr, "{}\n", cases.error().message);
    return 2;
  }
  auto native = NativeRunner::create();
  if (!native) {
    fmt::print(stderr, "{}\n", native.error().message);
    return kSkipped;
  }
  const HostCpu host = NativeRunner::host_cpu();
  Batch& batch = (*native)->batch();
  for (const auto& stored : *cases) {
    batch.case_count = 1;
    batch.data = stored->scenario.data;
    batch.code = stored->scenario.code;
    batch.cases[0] = stored->scenario.test;
    (*native)->run();
    stored->host = host.describe();
    stored->expected = batch.outcomes[0];
    u64 left_out = 0;
    stored->tolerance =
        tolerance_of(stored->scenario.test, stored->scenario.code, profile_applies(host.vendor, host.family), left_out);
    write_case(std::cout, *stored);
  }
  return 0;
}

// Runs stored cases in the engine and tells which end otherwise than stored.
int replay_all(const std::string& path, bool on_kvm) {
  const auto cases = read_cases(path);
  if (!cases) {
    fmt::print(stderr, "{}\n", cases.error().message);
    return 2;
  }
  auto engine = on_kvm ? EngineRunner::create_on_kvm() : std::make_unique<EngineRunner>();
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return kSkipped;
  }
  unsigned different = 0;
  for (const auto& stored : *cases) {
    replay_case(**engine, *stored, [&](Drive drive, const Difference& difference) {
      ++different;
      fmt::print("{} ({}): {}: {}\n", stored->title, name_of(drive), difference.kind, difference.detail);
    });
  }
  fmt::print("{} cases, {} differences\n", cases->size(), different);
  return different ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Instructions of the software engine against the host's processor");
  app.add_option("--cases", options.cases, "how many cases")->check(CLI::Range(u64{1}, u64{1} << 40));
  app.add_option("--seed", options.seed, "cases are a function of this and of their number");
  app.add_option("--filter", options.filter, "only this operation (a name in decoder/operations.txt)");
  app.add_option("--jobs", options.jobs, "processes")->check(CLI::Range(1u, kMostWorkers));
  app.add_option("--json", options.json, "write the summary to this file");
  app.add_option("--failures", options.failures, "write minimised failures to this file");
  app.add_option("--capture", options.capture,
                 "print the cases of this file (tests/silicon/cases) with what this host's processor does");
  app.add_option("--replay", options.replay, "run the cases of this file in the engine instead of making new ones");
  app.add_flag("--stepped", options.stepped, "compare with the engine's own single steps instead of the processor");
  app.add_flag("--kvm", options.kvm, "run the cases in the KVM engine instead of the software engine");
  app.add_flag("--slow", options.slow, "skip unless RONDO_SLOW_TESTS is 1 (scripts/test --all)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.slow && !slow_tests()) {
    fmt::print("skipped: {} cases, because RONDO_SLOW_TESTS is not 1\n", options.cases);
    return kSkipped;
  }
  if (!options.replay.empty()) return replay_all(options.replay, options.kvm);
  return options.capture.empty() ? compare_all(options) : capture_all(options.capture);
}
