#include "core/fp/real.h"

namespace rondo::fp {

Real Real::integer(i64 value) {
  if (value == 0) return {};
  const u64 magnitude = value < 0 ? ~static_cast<u64>(value) + 1 : static_cast<u64>(value);
  return scaled(value < 0, 127, magnitude);
}

Real operator+(const Real& a, const Real& b) {
  if (a.is_zero()) return b;
  if (b.is_zero()) return a;
  const bool a_larger = a.exponent > b.exponent || (a.exponent == b.exponent && a.significand >= b.significand);
  const Real& large = a_larger ? a : b;
  const Real& small = a_larger ? b : a;
  const u128 y = shift_right_sticky(small.significand, static_cast<unsigned>(large.exponent - small.exponent));
  if (large.negative == small.negative) {
    const u128 sum = large.significand + y;
    if (sum >= y) return {large.negative, large.exponent, sum};
    return {large.negative, large.exponent + 1, (sum >> 1) | (u128{1} << 127)};
  }
  // y != 0: even a tiny subtrahend leaves less than the minuend.
  const u128 difference = large.significand - y;
  if (difference == 0) return {};
  return Real::scaled(large.negative, large.exponent, difference);
}

Real operator*(const Real& a, const Real& b) {
  if (a.is_zero() || b.is_zero()) return {};
  const u64 a1 = static_cast<u64>(a.significand >> 64), a0 = static_cast<u64>(a.significand);
  const u64 b1 = static_cast<u64>(b.significand >> 64), b0 = static_cast<u64>(b.significand);
  const u128 middle1 = u128{a1} * b0;
  const u128 middle2 = u128{a0} * b1;
  const u128 low = (u128{a0} * b0) >> 64;
  const u128 carry = (low + static_cast<u64>(middle1) + static_cast<u64>(middle2)) >> 64;
  const u128 high = u128{a1} * b1 + (middle1 >> 64) + (middle2 >> 64) + carry;
  return Real::scaled(a.negative != b.negative, a.exponent + b.exponent + 1, high);
}

Real operator/(const Real& a, const Real& b) {
  if (a.is_zero()) return {};
  // Long division, one quotient bit a step; the remainder stays below the divisor.
  u128 rest = a.significand;
  const bool at_least_one = rest >= b.significand;
  if (at_least_one) rest -= b.significand;
  u128 quotient = at_least_one ? 1 : 0;
  for (int bits = at_least_one ? 127 : 128; bits > 0; bits--) {
    const bool overflow = rest >> 127 != 0;
    rest <<= 1;
    quotient <<= 1;
    if (overflow || rest >= b.significand) {
      rest -= b.significand;
      quotient |= 1;
    }
  }
  return {a.negative != b.negative, a.exponent - b.exponent - (at_least_one ? 0 : 1), quotient};
}

Real operator/(const Real& a, u32 divisor) {
  if (a.is_zero()) return {};
  const u128 quotient = a.significand / divisor;
  const u128 rest = a.significand % divisor;
  const int shift = countl_zero(quotient);  // <= 32: the refill is exact to within the last bit
  const u128 refill = shift == 0 ? 0 : (rest << shift) / divisor;
  return {a.negative, a.exponent - shift, (quotient << shift) | refill};
}

}  // namespace rondo::fp
