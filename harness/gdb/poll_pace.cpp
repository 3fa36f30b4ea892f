#include "harness/gdb/poll_pace.h"

#include <algorithm>

namespace rondo::gdb {
namespace {

constexpr u64 kFirst = 10'000, kLeast = 1'000, kMost = 1'000'000;  // instructions
constexpr u64 kSoon = 4'000'000, kLate = 20'000'000;               // ns

}  // namespace

void PollPace::restart(InstrCount now) {
  every_ = fixed_.value_or(kFirst);
  next_ = now + every_;
  asked_ = host::monotonic_now();
}

InstrCount PollPace::next(InstrCount now) {
  // The machine may have been put back.
  if (next_ > now && next_ - now > every_) next_ = now + every_;
  return std::max(next_, now);
}

bool PollPace::due(InstrCount now) {
  if (now < next_) return false;
  if (!fixed_) {
    const host::HostNs time = host::monotonic_now();
    const u64 passed = time - asked_;
    asked_ = time;
    if (passed > kLate)
      every_ = std::max(kLeast, every_ / 2);
    else if (passed < kSoon)
      every_ = std::min(kMost, every_ * 2);
  }
  next_ = now + every_;
  return true;
}

}  // namespace rondo::gdb
