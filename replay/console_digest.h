// A sink in front of a sink: counts and hashes what the guest writes, so that a replay can be held to every byte.
#pragma once

#include <optional>

#include "core/device.h"
#include "core/state/hash.h"
#include "replay/format/event.h"

namespace rondo::replay {

// A stretch of output, as it grows.
class ConsoleStretch {
 public:
  void put(u8 byte) {
    hasher_.add({&byte, 1});
    ++bytes_;
  }
  ConsoleOutput value() const { return {bytes_, hasher_.digest()}; }

 private:
  Hasher hasher_;
  u64 bytes_ = 0;
};

class ConsoleDigest final : public CharacterSink {
 public:
  explicit ConsoleDigest(CharacterSink* next) : next_(next) {}  // null: nothing behind it

  void put(u8 byte) override {
    whole_.put(byte);
    piece_->put(byte);
    if (next_) next_->put(byte);
  }
  // Everything so far.
  ConsoleOutput whole() const { return whole_.value(); }
  // What came since the last call, or the start.
  ConsoleOutput take_piece() {
    const ConsoleOutput piece = piece_->value();
    piece_.emplace();
    return piece;
  }

 private:
  CharacterSink* next_;
  ConsoleStretch whole_;
  std::optional<ConsoleStretch> piece_{std::in_place};
};

}  // namespace rondo::replay
