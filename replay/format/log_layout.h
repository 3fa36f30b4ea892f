// The fixed parts of events.log: the file's header and the header of each chunk.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

inline constexpr char kLogName[] = "events.log";
inline constexpr std::string_view kLogMagic = "RONDOLOG";
inline constexpr u64 kLogHeaderBytes = 32;
inline constexpr u64 kChunkHeaderBytes = 64;
// Of one event's bytes, and of a chunk before compression. What is larger is refused by writer and reader.
inline constexpr u64 kMaxEventBytes = u64{8} << 20;
inline constexpr u64 kMaxChunkBytes = u64{16} << 20;

std::vector<u8> encode_log_header(u64 recording);
// `file` starts with kLogHeaderBytes bytes. Fails for another major version; false if it is damaged or of another
// recording.
Result<bool> check_log_header(std::span<const u8> file, u64 recording, const std::string& path);

struct ChunkHeader {
  bool ends_recording = false;  // its last event is the End
  u32 payload_bytes = 0;        // after the header: one zstd frame
  u32 raw_bytes = 0;            // unpacked: one FlatBuffers Chunk
  u32 events = 0;
  u64 first_event = 0;
  InstrCount first_count;  // of the first event
  VirtualNs first_time;
  u64 payload_digest = 0;

  u64 total_bytes() const { return kChunkHeaderBytes + payload_bytes; }
};

// The digests are seeded with the recording's, so that a chunk of another recording does not fit.
std::vector<u8> encode_chunk_header(const ChunkHeader& header, u64 recording);
// None if it is damaged, of another recording, or beyond the limits.
std::optional<ChunkHeader> decode_chunk_header(std::span<const u8> bytes, u64 recording);

}  // namespace rondo::replay
