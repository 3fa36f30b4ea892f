// Reads a recording: finished, cut off, damaged, or still being written. Only verified events come out; reading stops
// at the first incomplete or bad chunk.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/base/result.h"
#include "replay/format/event.h"
#include "replay/format/files.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

enum class LogEnding : u8 {
  complete,    // the last event is an End
  unfinished,  // the writer died or is still writing
  damaged      // a chunk is bad, or something follows the End
};

struct LogValidity {
  LogEnding ending = LogEnding::unfinished;
  u64 events = 0;       // that can be read
  u64 valid_bytes = 0;  // of events.log; where it is damaged, if it is
  u64 file_bytes = 0;
  std::string explanation;  // one line for people, with the file's name
};

class RecordingReader {
 public:
  // Fails if it is not a recording, or one of another major version, or if its manifest is damaged. A damaged log is
  // no failure: see validity().
  static Result<RecordingReader> open(const std::string& directory);
  // The same from the contents of the two files, for a recording that is not in a directory. `name` is for messages.
  static Result<RecordingReader> from_parts(const std::string& name, std::span<const u8> manifest, FileDescriptor log);
  RecordingReader(RecordingReader&&) noexcept;
  RecordingReader& operator=(RecordingReader&&) noexcept;
  ~RecordingReader();

  const std::string& directory() const;
  const Manifest& manifest() const;

  // What is known so far. Chunks that the index names are looked at when they are read, so this may turn to `damaged`
  // later; check() looks at everything now.
  const LogValidity& validity() const;
  const LogValidity& check();

  // The next event; null after the last valid one. The pointer holds until the next call.
  const Event* next();
  u64 position() const;  // number of the event that next() would return
  // next() then gives the event of this number (or null, at or after the end).
  void seek_event(u64 number);
  // next() then gives the first event at or after this count.
  void seek_count(InstrCount count);

  // Looks for chunks that were appended since, and returns whether there are any. The position stays.
  bool refresh();
  // Whether a writer has the recording open right now: an unfinished recording without one stays as it is.
  bool writer_is_alive() const;

 private:
  struct Impl;
  explicit RecordingReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The version that a directory's manifest or log tells in its header, if either starts like a recording's; nothing is
// verified. Tells a damaged recording from what is none when open() fails.
std::optional<FormatVersion> recording_version(const std::string& directory);

// The error with which a replay refuses an event of an unknown kind.
Error refuse_unknown(const Event& event, const RecordingReader& reader);

}  // namespace rondo::replay
