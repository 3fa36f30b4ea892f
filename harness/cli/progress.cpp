#include "harness/cli/progress.h"

#include <cstdio>

namespace rondo::cli {
namespace {
constexpr u64 kInterval = 250'000'000;  // ns
}

Progress::Progress(bool shown) : shown_(shown), last_(host::monotonic_now()) {}

Progress::~Progress() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
}

void Progress::update(const Clock& clock) {
  if (!shown_) return;
  const host::HostNs now = host::monotonic_now();
  const u64 elapsed = now - last_;
  if (elapsed < kInterval) return;
  const double mips = static_cast<double>(clock.count() - last_count_) * 1e3 / static_cast<double>(elapsed);
  const char* counted = clock.counts_events() ? "%.3f M events, %.3f s virtual, %.3f M/s"
                                              : "%.1f M instructions, %.3f s virtual, %.0f MIPS";
  std::fputs("\r\x1b[K", stderr);
  std::fprintf(stderr, counted, static_cast<double>(clock.count().value) / 1e6,
               static_cast<double>(clock.now().value) / 1e9, mips);
  visible_ = true;
  last_ = now;
  last_count_ = clock.count();
}

}  // namespace rondo::cli
