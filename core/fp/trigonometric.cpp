// FSIN, FCOS, FSINCOS, FPTAN, FPATAN.
#include "core/fp/convert.h"
#include "core/fp/real.h"
#include "core/fp/transcendental.h"

namespace rondo::fp {
namespace {

using F = Extended80;

bool needs_nan(const Unpacked& a) { return a.kind >= Class::quiet_nan; }

Ext80 one() { return assemble<F>(false, F::bias, u64{1} << 63); }

struct Reduced {
  Real angle;        // |angle| <= pi/4
  unsigned quarter;  // multiples of pi/2 taken out, modulo 4
};

// x - q * pi/2 exactly, with the hardware's pi of 66 bits: 0x3243F6A8885A308D3 * 2^-64.
Reduced reduce(const Unpacked& x) {
  constexpr u128 kPi = (u128{0x3} << 64) | 0x243F6A8885A308D3;
  if (x.exponent < -1) return {Real::from(x), 0};
  // Both in units of 2^-65, where half of pi is kPi: x < 2^63 fits in 128 bits.
  const u128 value = u128{x.significand} << (x.exponent + 2);
  unsigned quarter = static_cast<unsigned>(value / kPi & 3);
  u128 rest = value % kPi;
  bool negative = x.sign;
  if (rest > kPi / 2) {
    rest = kPi - rest;
    negative = !negative;
    quarter++;
  }
  if (x.sign) quarter = 4 - quarter;  // x = -(|x|): takes out -q quarters
  Real angle;
  if (rest != 0) angle = Real::scaled(negative, 127 - 65, rest);
  return {angle, quarter & 3};
}

// sin r = r (1 - r^2/(2*3) (1 - r^2/(4*5) (...))). (pi/4)^n / n! < 2^-130 for n = 32.
Real sin_series(const Real& r) {
  const Real square = r * r;
  const Real unit = Real::integer(1);
  Real sum = unit;
  for (u32 n = 32; n >= 2; n -= 2) sum = unit - square * sum / (n * (n + 1));
  return r * sum;
}

Real cos_series(const Real& r) {
  const Real square = r * r;
  const Real unit = Real::integer(1);
  Real sum = unit;
  for (u32 n = 34; n > 0; n -= 2) sum = unit - square * sum / ((n - 1) * n);
  return sum;
}

Real sin_of(const Reduced& r) {
  const Real value = r.quarter & 1 ? cos_series(r.angle) : sin_series(r.angle);
  return r.quarter & 2 ? -value : value;
}

Real cos_of(const Reduced& r) { return sin_of({r.angle, (r.quarter + 1) & 3}); }

Ext80 round_value(const Real& value, Context& context) { return round_pack<F>(value.inexact(), context); }

// Common to all: NaN, infinity and zero operands. Returns true if `x` is an ordinary number.
bool ordinary(const Unpacked& x, Ext80 zero_result, Ext80& result, Context& context) {
  context.rounded_up = false;
  if (needs_nan(x)) {
    result = propagate_nan<F>(x, context);
  } else if (x.kind == Class::infinity) {
    context.raise(kInvalid);
    result = default_nan<F>();
  } else if (x.kind == Class::zero) {
    result = zero_result;
  } else {
    if (x.denormal) context.raise(kDenormal);
    return true;
  }
  return false;
}

Real pi() { return Real::from_parts(1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1); }

// atan t for 0 < t <= 1: atan t = atan c + atan((t - c) / (1 + t c)) with c = k/8 nearest to t.
Real atan_series(const Real& t) {
  // floor(atan(k/8) * 2^(127 - exponent)), k = 1..8, derived with 150 digits
  struct Entry {
    i32 exponent;
    u64 high, low;
  };
  static constexpr Entry kAtan[] = {
      {-4, 0xfeadd4d5617b6e32, 0xc897989f3e888ef7}, {-3, 0xfadbafc96406eb15, 0x6dc79ef5f7a217e5},
      {-2, 0xb7b0ca0f26f78473, 0x8aa32122dcfe4483}, {-2, 0xed63382b0dda7b45, 0x6fe445ecbc3a8d03},
      {-1, 0x8f005d5ef7f59f9b, 0x5c835e1665c43747}, {-1, 0xa4bc7d1934f70924, 0x19a87f2a457dac9e},
      {-1, 0xb8053e2bc2319e73, 0xcb2da55210a4443d}, {-1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1}};
  unsigned eighths = 0;  // t * 8 rounded to the nearest integer
  if (t.exponent >= -4) {
    const u64 sixteenths = static_cast<u64>(t.significand >> 64) >> (59 - t.exponent);
    eighths = static_cast<unsigned>((sixteenths + 1) / 2);
  }
  Real u = t;
  if (eighths != 0) {
    const Real c = Real::integer(eighths).times_power_of_two(-3);
    u = (t - c) / (Real::integer(1) + t * c);
  }
  // |u| <= 1/16: u^(2n) / (2n+1) < 2^-130 for n = 16.
  const Real square = u * u;
  Real sum;
  for (u32 n = 17; n-- > 0;) sum = Real::integer(1) / (2 * n + 1) - square * sum;
  u = u * sum;
  if (eighths == 0) return u;
  const Entry& c = kAtan[eighths - 1];
  return Real::from_parts(c.exponent, c.high, c.low) + u;
}

}  // namespace

Ext80 fsin(const Unpacked& x, Context& context) {
  Ext80 result;
  if (!ordinary(x, zero<F>(x.sign), result, context)) return result;
  return round_value(sin_of(reduce(x)), context);
}

Ext80 fcos(const Unpacked& x, Context& context) {
  Ext80 result;
  if (!ordinary(x, one(), result, context)) return result;
  return round_value(cos_of(reduce(x)), context);
}

SinCos fsincos(const Unpacked& x, Context& context) {
  Ext80 result;
  if (!ordinary(x, zero<F>(x.sign), result, context)) return {result, x.kind == Class::zero ? one() : result};
  const Reduced r = reduce(x);
  const Ext80 sine = round_value(sin_of(r), context);
  return {sine, round_value(cos_of(r), context)};
}

Ext80 fptan(const Unpacked& x, Context& context) {
  Ext80 result;
  if (!ordinary(x, zero<F>(x.sign), result, context)) return result;
  const Reduced r = reduce(x);
  // Below 2^-64 the quotient of the series is the angle itself; the tangent lies above it.
  if (r.angle.exponent < -64) return round_value(r.angle + r.angle * r.angle * r.angle / 3, context);
  return round_value(sin_of(r) / cos_of(r), context);
}

Ext80 fpatan(const Unpacked& y, const Unpacked& x, Context& context) {
  context.rounded_up = false;
  if (needs_nan(x) || needs_nan(y)) return propagate_nan<F>(x, y, context);
  if (x.denormal || y.denormal) context.raise(kDenormal);
  auto angle_result = [&](Real angle) {
    angle.negative = y.sign;
    return round_value(angle, context);
  };
  const Real half_pi = pi().times_power_of_two(-1);
  if (y.kind == Class::infinity) {
    if (x.kind != Class::infinity) return angle_result(half_pi);
    const Real quarter_pi = pi().times_power_of_two(-2);
    return angle_result(x.sign ? half_pi + quarter_pi : quarter_pi);
  }
  if (x.kind == Class::infinity || y.kind == Class::zero) return x.sign ? angle_result(pi()) : zero<F>(y.sign);
  if (x.kind == Class::zero) return angle_result(half_pi);

  Real opposite = Real::from(y);
  Real adjacent = Real::from(x);
  opposite.negative = adjacent.negative = false;
  const bool steep = !(opposite - adjacent).negative && !(opposite - adjacent).is_zero();
  Real angle = steep ? half_pi - atan_series(adjacent / opposite) : atan_series(opposite / adjacent);
  if (x.sign) angle = pi() - angle;
  return angle_result(angle);
}

}  // namespace rondo::fp
