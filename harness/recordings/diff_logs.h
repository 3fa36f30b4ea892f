// What two recordings say, compared without running anything: their machines, their events, their state hashes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replay/format/recording_reader.h"

namespace rondo::recordings {

struct ConfigurationDifference {
  std::string name;  // "memory", "kernel", "seed"
  std::string a, b;
};
std::vector<ConfigurationDifference> compare_machines(const replay::MachineConfiguration& a,
                                                      const replay::MachineConfiguration& b);

struct LogComparison {
  u64 hashes = 0;                    // pairs of state hashes that agree
  u64 inputs = 0;                    // pairs of events that agree
  InstrCount last_equal;             // of the last state hash that both have and that agrees; 0: the start
  InstrCount reach;                  // as far as both recordings tell
  std::optional<InstrCount> differ;  // they differ by the time at which this instruction has retired
  std::string what;                  // how, in one line
  bool ends_agree = false;           // both say how the run ended, and agree
};
Result<LogComparison> compare_logs(const std::string& a, const std::string& b);

}  // namespace rondo::recordings
