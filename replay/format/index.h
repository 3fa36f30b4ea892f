// The index: where the chunks of events.log are. A hint, rewritten now and then, rebuilt by scanning if it is missing
// or wrong; what it says is checked against the chunks themselves whenever it is used.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "replay/format/log_layout.h"

namespace rondo::replay {

inline constexpr char kIndexName[] = "index";
inline constexpr u64 kMaxIndexBytes = u64{256} << 20;

struct ChunkPosition {
  u64 first_event = 0;
  InstrCount first_count;
  VirtualNs first_time;
  u64 offset = 0;
  bool operator==(const ChunkPosition&) const = default;
};

struct Index {
  std::vector<ChunkPosition> chunks;  // without gaps from the start of the log
  u64 end_offset = kLogHeaderBytes;   // of the last chunk
  u64 events = 0;                     // in all of them
  bool operator==(const Index&) const = default;

  void add(const ChunkHeader& header);  // the chunk at end_offset
};

std::vector<u8> encode_index(const Index& index, u64 recording);
// None if it is damaged, contradicts itself, or is of another recording or version.
std::optional<Index> decode_index(std::span<const u8> file, u64 recording);

}  // namespace rondo::replay
