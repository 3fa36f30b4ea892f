#include "replay/format/log_layout.h"

#include <algorithm>

#include "core/state/stream.h"
#include "replay/format/digest.h"
#include "replay/format/envelope.h"

namespace rondo::replay {
namespace {

constexpr u32 kChunkMagic = 0x4b4e4843;  // "CHNK"
constexpr u32 kEndsRecording = 1;

// Worst case of zstd, ZSTD_compressBound(): raw + raw / 256 + a little.
constexpr u64 kMaxPayloadBytes = kMaxChunkBytes + kMaxChunkBytes / 256 + 1024;

}  // namespace

std::vector<u8> encode_log_header(u64 recording) {
  StateWriter writer;
  for (const char c : kLogMagic) writer.write_u8(static_cast<u8>(c));
  writer.write_u16(kFormatVersion.major);
  writer.write_u16(kFormatVersion.minor);
  writer.write_u32(0);
  writer.write_u64(recording);
  writer.write_u64(digest64(writer.bytes()));
  return writer.take();
}

Result<bool> check_log_header(std::span<const u8> file, u64 recording, const std::string& path) {
  file = file.first(kLogHeaderBytes);
  if (!std::equal(kLogMagic.begin(), kLogMagic.end(), file.begin())) return false;
  StateReader reader(file.subspan(kMagicBytes));
  FormatVersion version;
  version.major = reader.read_u16();
  version.minor = reader.read_u16();
  reader.read_u32();
  const u64 found = reader.read_u64();
  if (reader.read_u64() != digest64(file.first(kLogHeaderBytes - 8))) return false;
  if (version.major != kFormatVersion.major) return version_error(version, path);
  return found == recording;
}

std::vector<u8> encode_chunk_header(const ChunkHeader& header, u64 recording) {
  StateWriter writer;
  writer.write_u32(kChunkMagic);
  writer.write_u32(header.ends_recording ? kEndsRecording : 0);
  writer.write_u32(header.payload_bytes);
  writer.write_u32(header.raw_bytes);
  writer.write_u32(header.events);
  writer.write_u32(0);
  writer.write_u64(header.first_event);
  writer.write_u64(header.first_count.value);
  writer.write_u64(header.first_time.value);
  writer.write_u64(header.payload_digest);
  writer.write_u64(digest64(writer.bytes(), recording));
  return writer.take();
}

std::optional<ChunkHeader> decode_chunk_header(std::span<const u8> bytes, u64 recording) {
  if (bytes.size() < kChunkHeaderBytes) return std::nullopt;
  StateReader reader(bytes.first(kChunkHeaderBytes));
  ChunkHeader header;
  const u32 magic = reader.read_u32();
  header.ends_recording = reader.read_u32() & kEndsRecording;
  header.payload_bytes = reader.read_u32();
  header.raw_bytes = reader.read_u32();
  header.events = reader.read_u32();
  reader.read_u32();
  header.first_event = reader.read_u64();
  header.first_count = InstrCount{reader.read_u64()};
  header.first_time = VirtualNs{reader.read_u64()};
  header.payload_digest = reader.read_u64();
  const u64 digest = reader.read_u64();
  if (magic != kChunkMagic || digest != digest64(bytes.first(kChunkHeaderBytes - 8), recording)) return std::nullopt;
  const bool sane = header.payload_bytes <= kMaxPayloadBytes && header.raw_bytes <= kMaxChunkBytes &&
                    header.events > 0 && header.events <= header.raw_bytes &&
                    header.first_event + header.events >= header.first_event;
  return sane ? std::optional(header) : std::nullopt;
}

}  // namespace rondo::replay
