// The frame around the manifest and the index: magic, version, length, digest; then one FlatBuffers buffer.
// This header's layout stays the same in every major version, so that any version can say what it cannot read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

inline constexpr u64 kMagicBytes = 8;
inline constexpr u64 kEnvelopeBytes = kMagicBytes + 2 + 2 + 4 + 8;  // magic, major, minor, length, digest

std::vector<u8> wrap(std::string_view magic, std::span<const u8> payload);

struct Unwrapped {
  FormatVersion version;
  std::span<const u8> payload;  // into the file's bytes
};
// `what` is the file's role ("manifest"); `path` is for messages.
Result<Unwrapped> unwrap(std::string_view magic, std::span<const u8> file, const std::string& what,
                         const std::string& path);

// The version in the header of a file that starts with this magic, as all files of a recording but blobs do; none if it
// does not. Nothing is verified.
std::optional<FormatVersion> version_in_header(std::string_view magic, const std::string& path);

// The error for a file of another major version; names both.
Error version_error(FormatVersion found, const std::string& path);

}  // namespace rondo::replay
