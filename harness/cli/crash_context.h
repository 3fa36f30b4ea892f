// What an internal error prints about the machine that was running.
#pragma once

#include "core/machine.h"

namespace rondo::cli {

// While one lives, a failed assertion tells the count, the time and RIP of this machine. The command runs one machine
// at a time.
class CrashContext {
 public:
  explicit CrashContext(Machine& machine);
  ~CrashContext();
  CrashContext(const CrashContext&) = delete;
  CrashContext& operator=(const CrashContext&) = delete;
};

}  // namespace rondo::cli
