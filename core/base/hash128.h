// A 128-bit hash as a value: compared, stored, and shown as 32 hexadecimal digits (most significant first).
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/types.h"

namespace rondo {

struct Hash128 {
  u64 high = 0;
  u64 low = 0;
  constexpr auto operator<=>(const Hash128&) const = default;

  std::string hex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text(32, '0');
    for (unsigned i = 0; i < 16; ++i) {
      text[15 - i] = kDigits[(high >> (4 * i)) & 15];
      text[31 - i] = kDigits[(low >> (4 * i)) & 15];
    }
    return text;
  }

  // None unless it is exactly 32 hexadecimal digits in lower case.
  static std::optional<Hash128> from_hex(std::string_view text) {
    if (text.size() != 32) return std::nullopt;
    Hash128 hash;
    for (unsigned i = 0; i < 32; ++i) {
      const char c = text[i];
      const bool digit = c >= '0' && c <= '9';
      if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
      u64& half = i < 16 ? hash.high : hash.low;
      half = half << 4 | static_cast<u64>(digit ? c - '0' : c - 'a' + 10);
    }
    return hash;
  }
};

}  // namespace rondo
