// The exit statuses of the `rondo` command (docs/cli.md).
#pragma once

#include "core/machine.h"

namespace rondo::cli {

enum ExitStatus : int {
  kEnded = 0,      // the guest ended by itself
  kOther = 1,      // stopped by the user, host failures
  kBadUsage = 2,   // bad usage or input
  kLimit = 3,      // a limit was reached
  kGuestBroke = 5  // triple fault not asked for, halted for ever
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
      break;
  }
  return kOther;
}

}  // namespace rondo::cli
