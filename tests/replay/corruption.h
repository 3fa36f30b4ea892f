// Random damage for the tests of file formats: flipped bits, cut ends, spliced and repeated pieces.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "tests/slow.h"

namespace rondo::replay::test {

using rondo::slow_tests;

class Corruptor {
 public:
  explicit Corruptor(u64 seed) : random_(seed) {}

  // A number below `end`, at least 1.
  u64 below(u64 end) { return random_() % end; }

  // `other` is what pieces may come from: another file of the same kind.
  std::vector<u8> damage(std::vector<u8> bytes, std::span<const u8> other) {
    if (bytes.empty()) return {static_cast<u8>(random_())};
    const u64 start = below(bytes.size());
    const u64 length = std::min<u64>(1 + below(below(2) ? 8 : 400), bytes.size() - start);
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(start);
    const auto end = at + static_cast<std::ptrdiff_t>(length);
    switch (below(8)) {
      case 0:
      case 1:
        for (u64 flips = 1 + below(4); flips > 0; --flips) bytes[below(bytes.size())] ^= static_cast<u8>(1 << below(8));
        break;
      case 2:
        bytes.resize(start);
        break;
      case 3:
        bytes.erase(at, end);
        break;
      case 4: {
        const std::vector<u8> piece(at, end);
        const u64 place = below(bytes.size() + 1);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(place), piece.begin(), piece.end());
        break;
      }
      case 5: {  // from the same place, or from anywhere, of the other file
        if (other.empty()) break;
        const u64 from = start < other.size() && below(2) ? start : below(other.size());
        const auto piece = other.subspan(from, std::min<u64>(length, other.size() - from));
        std::copy(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(piece.size(), length)), at);
        break;
      }
      case 6:
        std::fill(at, end, below(2) ? u8{0} : static_cast<u8>(random_()));
        break;
      case 7: {
        const u64 many = 1 + below(300);
        for (u64 i = 0; i < many; ++i) bytes.push_back(static_cast<u8>(random_()));
        break;
      }
    }
    return bytes;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace rondo::replay::test
