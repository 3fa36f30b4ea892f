// The container of a packed recording, as a stream of entries. Knows nothing of recordings but which paths they have.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/types.h"
#include "replay/format/files.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

struct PackTotals {
  u64 entries = 0;         // files in the pack
  u64 unpacked_bytes = 0;  // of all of them
  u64 packed_bytes = 0;    // of the pack
};

// What a path in a pack is; none if no recording has such a path. Nothing else is ever packed or unpacked, so that a
// path cannot lead out of the target.
enum class PackPath : u8 { manifest, log, index, blob, checkpoint };
std::optional<PackPath> classify_pack_path(std::string_view path);
u64 max_bytes(PackPath path);

class PackWriter {
 public:
  static Result<PackWriter> create(const std::string& file);
  PackWriter(PackWriter&&) noexcept;
  ~PackWriter();
  // Adds the first `bytes` bytes of an open file.
  Status add(const std::string& path, int fd, u64 bytes, const std::string& source);
  // Returns the size of the file.
  Result<u64> finish();

 private:
  struct Impl;
  explicit PackWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Takes what PackReader finds. Any error ends the reading.
class PackSink {
 public:
  virtual ~PackSink() = default;
  virtual Status begin(PackPath kind, const std::string& path, u64 bytes) = 0;
  virtual Status data(std::span<const u8> bytes) = 0;
  virtual Status end() = 0;  // the content was what its hash says
};

// Reads the whole file and verifies all of it: only after success may what the sink got be used. Memory is bounded.
Result<PackTotals> read_pack(const std::string& file, PackSink& sink);
Result<PackTotals> read_pack(int fd, const std::string& name, PackSink& sink);
// The version that the file's header tells, if it starts like a packed recording; nothing is verified.
std::optional<FormatVersion> pack_version(const std::string& file);

}  // namespace rondo::replay
