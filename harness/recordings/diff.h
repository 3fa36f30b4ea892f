// The divergence search: two recordings against each other, or a recording against its replays.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/recordings/diff_details.h"
#include "harness/recordings/diff_logs.h"

namespace rondo::recordings {

struct DiffReport {
  bool equal = false;
  std::vector<ConfigurationDifference> configuration;  // of two recordings
  u64 hashes = 0;                                      // state hashes that agreed
  u64 inputs = 0;                                      // two recordings: events that agreed
  InstrCount reach;                                    // how far was compared; of a difference: where it was noticed
  // What the recordings, or the replay, say of the difference before anything was searched.
  std::string noticed;
  InstrCount last_equal;                 // the last state hash that agreed
  std::optional<Difference> difference;  // found by the search
  // Without a difference that was found: what the recording says, instead.
  std::vector<std::string> components;
  std::vector<replay::Event> events;
  std::string conclusion;  // one line for people
};

// What is tried at the moment, and the range that it is about.
using DiffProgress = std::function<void(const std::string& doing, InstrCount from, InstrCount to, const Clock& clock)>;

struct DiffOptions {
  std::vector<Plant> plants_a;  // in replays of the first recording; of one recording: in its first replay
  std::vector<Plant> plants_b;  // in replays of the second one; of one recording: in its further replays
  DiffProgress progress;
};

Result<DiffReport> diff_recordings(const std::string& a, const std::string& b, const DiffOptions& options);
Result<DiffReport> diff_replay(const std::string& recording, const DiffOptions& options);

}  // namespace rondo::recordings
