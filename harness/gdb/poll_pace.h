// When to ask whether to go on: every few milliseconds, however fast or slow the guest's code runs. The guest does not
// notice.
#pragma once

#include <optional>

#include "core/base/types.h"
#include "harness/host/clock.h"

namespace rondo::gdb {

class PollPace {
 public:
  // With `every`: after so many instructions, whatever the time.
  explicit PollPace(std::optional<u64> every = {}) : fixed_(every) {}

  // Something begins to run, at an unknown speed.
  void restart(InstrCount now);
  // The count at which to ask.
  InstrCount next(InstrCount now);
  // Whether to ask here; if so, it counts as asked.
  bool due(InstrCount now);

 private:
  std::optional<u64> fixed_;
  u64 every_ = 1;
  InstrCount next_;
  host::HostNs asked_;
};

}  // namespace rondo::gdb
