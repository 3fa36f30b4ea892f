// Conversions between formats, and to and from integers.
#pragma once

#include "core/fp/arithmetic.h"
#include "core/fp/round.h"

namespace rondo::fp {

// To format F. #D for denormal operands (drop it with `without_denormal` where the instruction has none: x87 stores).
template <class F>
typename F::Bits convert(const Unpacked& a, Context& context) {
  if (a.kind >= Class::quiet_nan) return propagate_nan<F>(a, context);
  if (a.kind == Class::infinity) return infinity<F>(a.sign);
  if (a.kind == Class::zero) return zero<F>(a.sign);
  if (a.denormal) context.raise(kDenormal);
  return round_pack<F>(widen(a), context);
}

template <class To, class From>
typename To::Bits convert(typename From::Bits a, Context& context) {
  return convert<To>(unpack<From>(a, context), context);
}

struct Integral {
  bool valid = false;  // false: NaN, infinity, or |value| >= 2^64
  bool sign = false;
  bool inexact = false;
  bool rounded_up = false;
  u64 magnitude = 0;
};

// The value rounded to an integer; raises nothing.
Integral to_integral(const Unpacked& a, Rounding mode);

// To a signed integer: the "integer indefinite" (only the top bit set) and #I where the value does not fit
// (SDM 1, 4.2.1 and 8.5.1.2), else #P where it is not exact. Never raises #D.
template <class Int>
Int to_integer(const Unpacked& a, Rounding mode, Context& context) {
  using Unsigned = std::make_unsigned_t<Int>;
  constexpr u64 kLimit = u64{1} << (8 * sizeof(Int) - 1);
  const Integral r = to_integral(a, mode);
  context.rounded_up = false;
  if (!r.valid || r.magnitude > kLimit - (r.sign ? 0 : 1)) {
    context.raise(kInvalid);
    return static_cast<Int>(static_cast<Unsigned>(kLimit));
  }
  if (r.inexact) context.raise(kInexact);
  context.rounded_up = r.rounded_up;
  const u64 value = r.sign ? ~r.magnitude + 1 : r.magnitude;
  return static_cast<Int>(static_cast<Unsigned>(value));
}

constexpr Unpacked unpack_integer(i64 value) {
  Unpacked u;
  if (value == 0) return u;
  u.kind = Class::finite;
  u.sign = value < 0;
  const u64 magnitude = u.sign ? ~static_cast<u64>(value) + 1 : static_cast<u64>(value);
  const int shift = std::countl_zero(magnitude);
  u.exponent = 63 - shift;
  u.significand = magnitude << shift;
  return u;
}

template <class F>
typename F::Bits from_integer(i64 value, Context& context) {
  return convert<F>(unpack_integer(value), context);
}

// Packed BCD of FBLD and FBSTP (SDM 1, 4.7): 18 digits, least significant byte first, sign in bit 7 of byte 9.
struct PackedBcd {
  u64 low = 0;
  u16 high = 0;
  constexpr bool operator==(const PackedBcd&) const = default;
};
Ext80 from_bcd(PackedBcd bcd);
PackedBcd to_bcd(const Unpacked& a, Context& context);

}  // namespace rondo::fp
