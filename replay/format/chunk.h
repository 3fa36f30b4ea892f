// One chunk of events: built by the writer, decoded by the reader.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "replay/format/event.h"
#include "replay/format/log_layout.h"

namespace rondo::replay {

class ChunkBuilder {
 public:
  ChunkBuilder(std::vector<std::string> component_names, u64 recording);
  ~ChunkBuilder();

  // Refuses an event that the format cannot hold (too large, a kind that it does not know); nothing is then added.
  Status add(const Moment& moment, const EventBody& body);
  bool empty() const;
  u64 raw_bytes() const;  // about
  // Header and payload, ready to be written; the builder is empty afterwards.
  std::vector<u8> finish(u64 first_event);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ChunkDecoder {
 public:
  // Decompresses and checks everything, down to the last event: afterwards no event fails. None if anything is wrong.
  // The payload's digest has been checked. Memory: header.raw_bytes and one event.
  static std::optional<ChunkDecoder> open(const ChunkHeader& header, std::span<const u8> payload,
                                          const std::vector<std::string>& component_names);
  static std::optional<ChunkDecoder> open(const ChunkHeader& header, std::span<const u8> payload,
                                          std::vector<std::string>&& component_names) = delete;
  ChunkDecoder(ChunkDecoder&&) noexcept;
  ChunkDecoder& operator=(ChunkDecoder&&) noexcept;
  ~ChunkDecoder();

  u64 next_number() const;
  u64 end_number() const;
  // The next event; next_number() < end_number(). It holds until the next call.
  const Event& next();

 private:
  struct Impl;
  explicit ChunkDecoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo::replay
