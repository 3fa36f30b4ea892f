#include "harness/cli/diff_command.h"

#include <cstdio>

#include "harness/cli/counting.h"
#include "harness/cli/diff_text.h"
#include "harness/cli/exit_status.h"
#include "harness/host/clock.h"
#include "harness/host/terminal.h"

namespace rondo::cli {
namespace {

// A line on a terminal's standard error that says what is tried.
class DiffProgress {
 public:
  ~DiffProgress() {
    if (visible_) std::fputs("\r\x1b[K", stderr);
  }
  void update(const std::string& doing, InstrCount from, InstrCount to, const Clock& clock) {
    const host::HostNs now = host::monotonic_now();
    if (now - last_ < kInterval) return;
    last_ = now;
    visible_ = true;
    std::fprintf(stderr, "\r\x1b[K%s: instruction %.3f M", doing.c_str(),
                 static_cast<double>(clock.count().value) / 1e6);
    if (to > from) std::fprintf(stderr, ", the difference is within %.3f M", static_cast<double>(to - from) / 1e6);
  }

 private:
  static constexpr u64 kInterval = 250'000'000;  // ns
  host::HostNs last_ = host::monotonic_now();
  bool visible_ = false;
};

Result<recordings::DiffReport> search(const DiffOptions& options) {
  DiffProgress line;
  recordings::DiffOptions how{.plants_a = options.plants_a, .plants_b = options.plants_b, .progress = {}};
  if (host::is_terminal(2)) {
    how.progress = [&line](const std::string& doing, InstrCount from, InstrCount to, const Clock& clock) {
      line.update(doing, from, to, clock);
    };
  }
  std::vector<std::string> counted;
  for (const std::string& recording : options.recordings) {
    Result<std::string> directory = with_instructions_counted(recording);
    if (!directory) return directory.error();
    counted.push_back(std::move(*directory));
  }
  if (counted.size() == 1) return recordings::diff_replay(counted[0], how);
  return recordings::diff_recordings(counted[0], counted[1], how);
}

}  // namespace

int diff_command(const DiffOptions& options) {
  for (const auto& [name, plants] : {std::pair{"A", &options.plants_a}, std::pair{"B", &options.plants_b}}) {
    for (const recordings::Plant& plant : *plants)
      std::fprintf(stderr, "rondo: planted fault in %s: %s\n", name, to_string(plant).c_str());
  }
  const Result<recordings::DiffReport> report = search(options);
  if (!report) {
    std::fprintf(stderr, "rondo: %s\n", report.error().message.c_str());
    return kBadUsage;
  }
  const std::string text = options.json ? diff_json(*report) : diff_text(*report);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "rondo: standard output cannot be written\n");
    return kOther;
  }
  return report->equal ? kEnded : kDivergence;
}

}  // namespace rondo::cli
