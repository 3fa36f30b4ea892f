// The terminal in raw mode, and the signals that must not leave it so. Both belong to the process, so there is one of
// each at a time.
#pragma once

#include "harness/host/clock.h"

namespace rondo::host {

bool is_terminal(int fd);

// Gives closed standard descriptors to /dev/null, so that no file opened later takes their place.
void occupy_standard_descriptors();

// Puts the terminal on `fd` into raw mode and back, on every way out: at destruction, and before a fatal signal ends
// the process.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
};

// While one lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT are remembered instead of ending the process, and SIGPIPE is
// ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  // The signal that came last, 0: none.
  static int pending();
};

// Waits until `fd` can be read, a signal arrives or the time is over. True if it can be read. fd < 0: only waits.
bool wait_readable(int fd, u64 timeout_ns);

}  // namespace rondo::host
