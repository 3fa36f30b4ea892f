// A sink in front of a sink: counts and hashes what the guest writes, so that a replay can be held to every byte.
#pragma once

#include "core/base/hash128.h"
#include "core/device.h"
#include "core/state/hash.h"

namespace rondo::replay {

class ConsoleDigest final : public CharacterSink {
 public:
  explicit ConsoleDigest(CharacterSink* next) : next_(next) {}  // null: nothing behind it

  void put(u8 byte) override {
    hasher_.add({&byte, 1});
    ++bytes_;
    if (next_) next_->put(byte);
  }
  u64 bytes() const { return bytes_; }
  Hash128 hash() const { return Hash128::from_hex(hasher_.hex()).value(); }

 private:
  CharacterSink* next_;
  Hasher hasher_;
  u64 bytes_ = 0;
};

}  // namespace rondo::replay
