// When checkpoints are taken, and which are given up so that their number stays bounded. Pure arithmetic on counts.
//
// They start `interval` instructions apart. Whenever there are more than `keep`, the interval doubles and those that
// are not needed to keep neighbours within it are given up. So a recording of any length has at most `keep`
// checkpoints, and every Moment up to the newest has one at most one current interval before it (or the start).
#pragma once

#include <optional>
#include <vector>

#include "core/base/types.h"

namespace rondo::replay {

inline constexpr u64 kDefaultCheckpointInterval = 100'000'000;  // instructions
inline constexpr u32 kDefaultCheckpointsKept = 64;
inline constexpr u32 kFewestCheckpointsKept = 2;
inline constexpr u32 kMostCheckpointsKept = 256;

class CheckpointSchedule {
 public:
  // interval 0: none but those on demand.
  CheckpointSchedule(u64 interval, u32 keep);

  // The count after `now` at which the next checkpoint is due: a multiple of the interval.
  std::optional<InstrCount> next(InstrCount now) const;
  u64 interval() const { return automatic_ ? spacing_ : 0; }

  // Notes a checkpoint, due or on demand; counts increase. Returns those to give up, in order.
  std::vector<InstrCount> taken(InstrCount count);
  const std::vector<InstrCount>& retained() const { return retained_; }

 private:
  std::vector<InstrCount> thin();

  bool automatic_;
  u64 spacing_;  // neighbours may be this far apart
  u32 keep_;
  std::vector<InstrCount> retained_;
};

}  // namespace rondo::replay
