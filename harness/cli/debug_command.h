// `rondo debug`: a machine, live or recorded, under gdb (docs/debugging.md).
#pragma once

#include <string>

#include "harness/cli/run_command.h"

namespace rondo::cli {

struct DebugOptions {
  RunOptions machine;     // of a live machine: what it is and where its console is
  std::string recording;  // or this
  std::string gdb = "127.0.0.1:1234";
  std::string symbols_path;
  std::string architecture = "x86-64";  // or i386
};

// Returns the exit status. Errors are one line on standard error.
int debug_command(const DebugOptions& options);

}  // namespace rondo::cli
