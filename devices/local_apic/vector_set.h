// The 256-bit registers of the local APIC: IRR, ISR and TMR.
#pragma once

#include <array>
#include <bit>
#include <optional>

#include "core/base/types.h"
#include "core/state/stream.h"

namespace rondo::devices {

class VectorSet {
 public:
  bool test(u8 vector) const { return (words_[vector / 64] >> (vector % 64)) & 1; }
  void set(u8 vector, bool on = true) {
    const u64 bit = u64{1} << (vector % 64);
    words_[vector / 64] = on ? words_[vector / 64] | bit : words_[vector / 64] & ~bit;
  }
  void clear() { words_ = {}; }
  std::optional<u8> highest() const {
    for (unsigned i = words_.size(); i-- > 0;) {
      if (words_[i] != 0) return static_cast<u8>(64 * i + 63 - static_cast<unsigned>(std::countl_zero(words_[i])));
    }
    return std::nullopt;
  }
  // One of the eight 32-bit registers.
  u32 part(unsigned index) const { return static_cast<u32>(words_[(index / 2) % 4] >> (32 * (index % 2))); }

  void save(StateWriter& writer) const {
    for (const u64 word : words_) writer.write_u64(word);
  }
  void load(StateReader& reader) {
    for (u64& word : words_) word = reader.read_u64();
  }

 private:
  std::array<u64, 4> words_{};
};

}  // namespace rondo::devices
