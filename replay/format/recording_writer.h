// Writes a recording: the manifest first, then events in chunks, each with one write. Whenever and however the program
// dies, everything up to the last complete chunk stays good.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/result.h"
#include "replay/format/event.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

struct WriterOptions {
  u64 flush_bytes = u64{64} << 10;  // of events in memory, about: a chunk is written when there are more
  u64 flush_age_ns = 250'000'000;   // see flush_if_older()
};

// An image to be stored with the recording.
struct NewImage {
  std::string role;
  std::string name;
  std::span<const u8> bytes;
};

class RecordingWriter {
 public:
  // Makes the directory (its parent must exist; an existing directory must be empty), stores the images and writes the
  // manifest, with `machine.images` filled in from `images` if there are any.
  static Result<RecordingWriter> create(const std::string& directory, Manifest manifest,
                                        std::span<const NewImage> images = {}, const WriterOptions& options = {});
  RecordingWriter(RecordingWriter&&) noexcept;
  RecordingWriter& operator=(RecordingWriter&&) noexcept;
  ~RecordingWriter();  // writes what is buffered; errors are lost, so call flush() or finish()

  const std::string& directory() const;
  const Manifest& manifest() const;

  // Adds an event and returns its number. Counts must not decrease. An End goes through finish().
  //
  // After the first failed write (disk full, file removed) the log is cut back to its last complete chunk, the error
  // says so, and every later call returns the same error without touching the file: say it once, go on unrecorded or
  // stop.
  Result<u64> append(const Moment& moment, EventBody body);
  u64 events() const;  // how many were appended

  // Writes what is buffered as a chunk.
  Status flush();
  // For the driver, which has a clock: flushes if the oldest buffered event may be older than flush_age_ns. `host_ns`
  // is of any clock that does not go back.
  Status flush_if_older(u64 host_ns);
  // The last event; the recording is then complete and safely on the disk.
  Status finish(const Moment& moment, End end);

 private:
  struct Impl;
  explicit RecordingWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo::replay
