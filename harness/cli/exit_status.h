// The exit statuses of the `rondo` command (docs/cli.md).
#pragma once

#include "core/machine.h"

namespace rondo::cli {

enum ExitStatus : int {
  kEnded = 0,       // the guest ended by itself
  kOther = 1,       // stopped by the user, host failures
  kBadUsage = 2,    // bad usage or input
  kLimit = 3,       // a limit was reached, or the Moment that was asked for
  kDivergence = 4,  // a replay differs from its recording
  kGuestBroke = 5,  // triple fault not asked for, halted for ever
  kUnfinished = 6,  // info: a recording without an end
  kDamaged = 7      // info: a damaged recording
};

constexpr ExitStatus exit_status(ExitReason reason) {
  switch (reason) {
    case ExitReason::power_off:
    case ExitReason::reset:
    case ExitReason::debug_exit:
      return kEnded;
    case ExitReason::instruction_limit:
    case ExitReason::time_limit:
      return kLimit;
    case ExitReason::halted:
    case ExitReason::triple_fault:
      return kGuestBroke;
    case ExitReason::stopped:
    case ExitReason::debug:
    case ExitReason::host_failure:
      break;
  }
  return kOther;
}

// Of an end as a recording names it.
inline ExitStatus exit_status_of(std::string_view reason) {
  for (u8 i = 0; i <= static_cast<u8>(ExitReason::stopped); ++i) {
    if (reason == to_string(static_cast<ExitReason>(i))) return exit_status(static_cast<ExitReason>(i));
  }
  return reason == "wall_limit" ? kLimit : kOther;
}

}  // namespace rondo::cli
