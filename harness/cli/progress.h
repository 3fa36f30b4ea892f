// A line on a terminal's standard error that says how far a run has come.
#pragma once

#include "core/time/clock.h"
#include "harness/host/clock.h"

namespace rondo::cli {

class Progress {
 public:
  // Not shown: every call does nothing.
  explicit Progress(bool shown);
  ~Progress();
  void update(const Clock& clock);

 private:
  bool shown_;
  bool visible_ = false;
  host::HostNs last_;
  InstrCount last_count_;
};

}  // namespace rondo::cli
