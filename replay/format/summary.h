// What a recording holds, counted: for people and for tools.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "replay/format/recording_reader.h"

namespace rondo::replay {

struct RecordingSummary {
  LogValidity validity;
  std::map<std::string, u64> events_by_kind;  // kind_name() -> how many
  u64 input_bytes = 0;                        // typed
  u64 unknown_events = 0;                     // of kinds that this program does not know: it cannot replay them
  std::optional<Event> last_event;
  std::optional<Event> last_state_hash;
  std::vector<Event> checkpoints;  // each CheckpointTaken
  std::vector<Event> remarks;
  std::optional<End> end;
};

// Checks and reads the whole log. Leaves the reader at its end.
RecordingSummary summarize(RecordingReader& reader);

}  // namespace rondo::replay
