#include "replay/checkpoint/schedule.h"

#include <algorithm>

#include "core/base/assert.h"

namespace rondo::replay {

CheckpointSchedule::CheckpointSchedule(u64 interval, u32 keep)
    : automatic_(interval != 0),
      spacing_(interval),
      keep_(std::clamp(keep, kFewestCheckpointsKept, kMostCheckpointsKept)) {}

std::optional<InstrCount> CheckpointSchedule::next(InstrCount now) const {
  if (!automatic_) return std::nullopt;
  const u64 ordinal = now.value / spacing_ + 1;
  if (ordinal > ~u64{0} / spacing_) return std::nullopt;  // beyond any run
  return InstrCount{ordinal * spacing_};
}

std::vector<InstrCount> CheckpointSchedule::taken(InstrCount count) {
  RONDO_ASSERT(retained_.empty() || count > retained_.back());
  retained_.push_back(count);
  std::vector<InstrCount> given_up;
  // Without an interval of its own, what is on demand starts from the spacing that it has on average.
  if (retained_.size() > keep_ && spacing_ == 0) spacing_ = std::max<u64>(1, retained_.back().value / keep_);
  while (retained_.size() > keep_) {
    // At the largest spacing everything but the newest goes, so this ends.
    spacing_ = spacing_ > ~u64{0} / 2 ? ~u64{0} : spacing_ * 2;
    const std::vector<InstrCount> more = thin();
    given_up.insert(given_up.end(), more.begin(), more.end());
  }
  std::sort(given_up.begin(), given_up.end());
  return given_up;
}

std::vector<InstrCount> CheckpointSchedule::thin() {
  std::vector<InstrCount> kept, given_up;
  InstrCount previous{0};  // the start of a recording is as good as a checkpoint
  for (std::size_t i = 0; i < retained_.size(); ++i) {
    const bool newest = i + 1 == retained_.size();
    if (!newest && retained_[i + 1] - previous <= spacing_) {
      given_up.push_back(retained_[i]);
    } else {
      kept.push_back(retained_[i]);
      previous = retained_[i];
    }
  }
  retained_ = std::move(kept);
  return given_up;
}

}  // namespace rondo::replay
