// One self-contained file that holds a whole recording: to be sent to somebody, who unpacks and replays it.
// Layout: docs/recording-format.md.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"
#include "replay/format/recording_reader.h"
#include "replay/pack_stream.h"

namespace rondo::replay {

// Writes the file atomically; an existing file is replaced. Refuses a recording whose images are not there and good. A
// damaged log, and one that is still being written, is packed as it is.
Result<PackTotals> pack_recording(const std::string& directory, const std::string& file);

// The directory appears when everything in it has been verified, or not at all. Refuses an existing one.
Result<PackTotals> unpack_recording(const std::string& file, const std::string& directory);

struct PackedFile {
  std::string name;
  u64 bytes = 0;
};

// A packed recording to look at without unpacking it; the log is kept in memory.
struct PackedRecording {
  RecordingReader reader;
  PackTotals totals;
  std::vector<std::string> blobs;  // ids
  std::vector<PackedFile> checkpoints;
};
// Verifies the whole file.
Result<PackedRecording> open_packed(const std::string& file);

}  // namespace rondo::replay
