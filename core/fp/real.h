// A wide floating-point number for the transcendental functions: 128 significand bits, unbounded exponent, results
// truncated (relative error of one operation < 2^-126). Nothing here rounds to a guest format.
#pragma once

#include "core/fp/round.h"

namespace rondo::fp {

struct Real {
  bool negative = false;
  i32 exponent = 0;
  u128 significand = 0;  // value = significand * 2^(exponent - 127); bit 127 set, or 0 for zero

  static Real from(const Unpacked& u) { return {u.sign, u.exponent, u128{u.significand} << 64}; }
  static Real from_parts(i32 exponent, u64 high, u64 low) { return {false, exponent, (u128{high} << 64) | low}; }
  static Real integer(i64 value);
  // significand must not be 0
  static Real scaled(bool negative, i32 exponent, u128 significand) {
    const Wide w = normalize(negative, exponent, significand);
    return {w.sign, w.exponent, w.significand};
  }

  bool is_zero() const { return significand == 0; }
  Real operator-() const { return {!negative, exponent, significand}; }
  Real times_power_of_two(i32 power) const { return {negative, exponent + power, significand}; }

  // For a value known not to be representable: its rounding sees that something lies below.
  Wide inexact() const { return {negative, exponent, significand | 1}; }
};

Real operator+(const Real& a, const Real& b);
inline Real operator-(const Real& a, const Real& b) { return a + -b; }
Real operator*(const Real& a, const Real& b);
Real operator/(const Real& a, const Real& b);  // b != 0
Real operator/(const Real& a, u32 divisor);    // divisor != 0

}  // namespace rondo::fp
