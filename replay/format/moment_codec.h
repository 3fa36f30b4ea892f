// The Moments of a chunk's events, packed: each as its difference to the one before (the first to zero).
//
// Per event: one byte of flags, then what they announce, in this order. Numbers are LEB128; `signed` ones are zigzag.
//   kCount         count, difference to the previous count
//   kTime          time, signed difference to previous time + difference of counts
//   kRip, kRcx     signed difference to the previous RIP, RCX
//   kSynchronous   ordinal of the synchronous event, signed difference to the previous one that was given
//   kFingerprint   32 bytes: registers high, low, memory high, low, little-endian
//   kSampled       the event is a SampledTime: its time, signed difference to the Moment's time; it has no Record
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "replay/format/event.h"

namespace rondo::replay {

class MomentPacker {
 public:
  void add(const Moment& moment, std::optional<VirtualNs> sampled);
  const std::vector<u8>& bytes() const { return bytes_; }
  void clear();

 private:
  void number(u64 value);
  void difference(u64 value, u64 from);
  std::vector<u8> bytes_;
  Moment previous_;
  u64 previous_synchronous_ = 0;
};

class MomentUnpacker {
 public:
  explicit MomentUnpacker(std::span<const u8> bytes) : bytes_(bytes) {}

  struct Entry {
    Moment moment;
    std::optional<VirtualNs> sampled;
  };
  // None if the bytes are malformed or used up.
  std::optional<Entry> next();
  bool at_end() const { return bytes_.empty(); }

 private:
  u64 number();
  u64 difference(u64 from);
  std::span<const u8> bytes_;
  bool ok_ = true;
  Moment previous_;
  u64 previous_synchronous_ = 0;
};

}  // namespace rondo::replay
