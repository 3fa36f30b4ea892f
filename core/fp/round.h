// Rounding and packing: the one place where overflow, underflow, inexact, FTZ and precision control are decided.
#pragma once

#include "core/fp/format.h"

namespace rondo::fp {

// A result before rounding: significand * 2^(exponent - 127), bit 127 set. Bits below what is exact are folded into
// bit 0 ("sticky"), which never reaches a rounding position because formats keep at most 64 bits.
struct Wide {
  bool sign = false;
  i32 exponent = 0;
  u128 significand = 0;
};

// Shifts right, or-ing the bits shifted out into bit 0.
constexpr u128 shift_right_sticky(u128 value, unsigned count) {
  if (count == 0) return value;
  if (count >= 128) return value != 0;
  return (value >> count) | static_cast<u128>((value << (128 - count)) != 0);
}

constexpr int countl_zero(u128 value) {
  const u64 high = static_cast<u64>(value >> 64);
  return high ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(value));
}

// `value` must not be 0: value * 2^(exponent - 127) with bit 127 set.
constexpr Wide normalize(bool sign, i32 exponent, u128 value) {
  const int shift = countl_zero(value);
  return {sign, exponent - shift, value << shift};
}

constexpr Wide widen(const Unpacked& u) { return {u.sign, u.exponent, u128{u.significand} << 64}; }

// Rounds to `precision` significand bits (at most F::precision), then to the exponent range of F. Tininess is
// detected after rounding (SDM 1, 4.9.1.5). Overflow and underflow that are unmasked give, in the x87 format, the
// result with its exponent moved by 24576 (SDM 1, 8.5.4, 8.5.5); in the others the caller must not use the result.
template <class F>
typename F::Bits round_pack(const Wide& value, Context& context, int precision = F::precision);

}  // namespace rondo::fp
