#include "replay/format/envelope.h"

#include <algorithm>
#include <array>

#include "core/state/stream.h"
#include "replay/format/digest.h"
#include "replay/format/files.h"

namespace rondo::replay {
namespace {

constexpr u64 kDigestAt = kEnvelopeBytes - 8;

u64 envelope_digest(std::span<const u8> header, std::span<const u8> payload) {
  return digest64(payload, digest64(header.first(kDigestAt)));
}

}  // namespace

std::vector<u8> wrap(std::string_view magic, std::span<const u8> payload) {
  RONDO_ASSERT(magic.size() == kMagicBytes && payload.size() <= ~u32{0});
  StateWriter writer;
  for (const char c : magic) writer.write_u8(static_cast<u8>(c));
  writer.write_u16(kFormatVersion.major);
  writer.write_u16(kFormatVersion.minor);
  writer.write_u32(static_cast<u32>(payload.size()));
  writer.write_u64(envelope_digest(writer.bytes(), payload));
  std::vector<u8> file = writer.take();
  file.insert(file.end(), payload.begin(), payload.end());
  return file;
}

Result<Unwrapped> unwrap(std::string_view magic, std::span<const u8> file, const std::string& what,
                         const std::string& path) {
  if (file.size() < kMagicBytes || !std::equal(magic.begin(), magic.end(), file.begin())) {
    return file_error(path, "is not the " + what + " of a recording");
  }
  StateReader reader(file.subspan(kMagicBytes));
  Unwrapped found;
  found.version.major = reader.read_u16();
  found.version.minor = reader.read_u16();
  const u32 length = reader.read_u32();
  const u64 digest = reader.read_u64();
  if (!reader.ok() || reader.remaining() != length) {
    return file_error(path, "is damaged: the " + what + " is cut off or has bytes too many");
  }
  found.payload = file.subspan(kEnvelopeBytes);
  if (digest != envelope_digest(file, found.payload)) {
    return file_error(path, "is damaged: the digest of the " + what + " is wrong");
  }
  if (found.version.major != kFormatVersion.major) return version_error(found.version, path);
  return found;
}

std::optional<FormatVersion> version_in_header(std::string_view magic, const std::string& path) {
  const auto fd = open_regular(path);
  if (!fd) return std::nullopt;
  std::array<u8, kMagicBytes + 4> bytes;
  const auto got = read_at(fd->get(), 0, bytes, path);
  if (!got || *got < bytes.size() || !std::equal(magic.begin(), magic.end(), bytes.begin())) return std::nullopt;
  StateReader reader(std::span<const u8>(bytes).subspan(kMagicBytes));
  const u16 major = reader.read_u16();
  return FormatVersion{major, reader.read_u16()};
}

Error version_error(FormatVersion found, const std::string& path) {
  return file_error(path, "has format version " + to_string(found) + ", and this program reads version " +
                              std::to_string(kFormatVersion.major) + ".x (" + to_string(kFormatVersion) +
                              "): use the program that made it");
}

}  // namespace rondo::replay
