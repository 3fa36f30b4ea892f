// The head of a checkpoint file: which Moment it is of, what it builds on, and where its parts are.
#pragma once

#include <string>

#include "core/base/result.h"
#include "replay/format/event.h"
#include "replay/format/manifest.h"

namespace rondo::replay {

// What a checkpoint says of its Moment beside the machine's state.
struct CheckpointInfo {
  Moment moment;
  u64 next_event = 0;    // number of the first event that the state does not contain
  StateHash state_hash;  // as a replay computes it at this Moment
  bool operator==(const CheckpointInfo&) const = default;
};

// A part of the file: its bytes as they are there.
struct CheckpointPart {
  u64 offset = 0;
  u64 bytes = 0;
  Hash128 hash;
  bool operator==(const CheckpointPart&) const = default;
};

struct CheckpointHead {
  FormatVersion version = kFormatVersion;
  u64 recording = 0;    // recording_digest() of the recording's id
  u64 number = 0;       // from 1, in the order in which they were taken
  u64 covers_from = 0;  // the first of the numbers whose changes are in this file: those before `number` were given up
  Hash128 base;         // identity() of checkpoint covers_from - 1; zero if there is none
  CheckpointInfo info;
  u64 memory_bytes = 0;  // size of the machine's RAM
  Hash128 memory;        // of its contents (core/memory/memory_hash.h)
  CheckpointPart state;
  u64 state_bytes = 0;  // uncompressed
  CheckpointPart pages;
  CheckpointPart contents;
  bool operator==(const CheckpointHead&) const = default;

  // What stays the same when earlier checkpoints are merged into this one: its Moment and its complete state.
  Hash128 identity() const;
};

inline constexpr u64 kMaxHeadBytes = u64{128} << 10;
inline constexpr u64 kMaxComponents = 1024;

std::vector<u8> encode_head(const CheckpointHead& head);
// `path` is for messages. What the parts say about themselves is not looked at.
Result<CheckpointHead> decode_head(std::span<const u8> bytes, const std::string& path);

}  // namespace rondo::replay
