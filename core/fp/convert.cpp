#include "core/fp/convert.h"

namespace rondo::fp {

Integral to_integral(const Unpacked& a, Rounding mode) {
  Integral r;
  r.sign = a.sign;
  if (a.kind == Class::zero) {
    r.valid = true;
    return r;
  }
  if (a.kind != Class::finite || a.exponent > 63) return r;
  const u128 value = shift_right_sticky(u128{a.significand} << 64, static_cast<unsigned>(63 - a.exponent));
  const u64 fraction = static_cast<u64>(value);
  const u64 half = u64{1} << 63;
  r.magnitude = static_cast<u64>(value >> 64);
  r.inexact = fraction != 0;
  switch (mode) {
    case Rounding::nearest:
      r.rounded_up = fraction > half || (fraction == half && (r.magnitude & 1) != 0);
      break;
    case Rounding::down:
      r.rounded_up = a.sign && fraction != 0;
      break;
    case Rounding::up:
      r.rounded_up = !a.sign && fraction != 0;
      break;
    case Rounding::zero:
      break;
  }
  if (r.rounded_up && ++r.magnitude == 0) return r;
  r.valid = true;
  return r;
}

Ext80 from_bcd(PackedBcd bcd) {
  u64 magnitude = 0;
  for (int i = 1; i >= 0; i--) magnitude = magnitude * 10 + (bcd.high >> (4 * i) & 15);
  for (int i = 15; i >= 0; i--) magnitude = magnitude * 10 + (bcd.low >> (4 * i) & 15);  // digits > 9: < 2^61 still
  const bool sign = bcd.high >> 15 != 0;
  if (magnitude == 0) return zero<Extended80>(sign);
  Context exact;
  return round_pack<Extended80>(normalize(sign, 127, magnitude), exact);
}

PackedBcd to_bcd(const Unpacked& a, Context& context) {
  constexpr u64 kLimit = 1'000'000'000'000'000'000;
  constexpr PackedBcd kIndefinite{0xC000'0000'0000'0000, 0xFFFF};
  const Integral r = to_integral(a, context.rounding);
  context.rounded_up = false;
  if (!r.valid || r.magnitude >= kLimit) {
    context.raise(kInvalid);
    return kIndefinite;
  }
  if (r.inexact) context.raise(kInexact);
  context.rounded_up = r.rounded_up;
  u64 rest = r.magnitude;
  PackedBcd bcd;
  for (int i = 0; i < 16; i++, rest /= 10) bcd.low |= rest % 10 << (4 * i);
  for (int i = 0; i < 2; i++, rest /= 10) bcd.high = static_cast<u16>(bcd.high | rest % 10 << (4 * i));
  if (r.sign) bcd.high |= 0x8000;
  return bcd;
}

}  // namespace rondo::fp
