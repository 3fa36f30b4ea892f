// F2XM1, FYL2X, FYL2XP1.
#include "core/fp/convert.h"
#include "core/fp/real.h"
#include "core/fp/transcendental.h"

namespace rondo::fp {
namespace {

using F = Extended80;

bool needs_nan(const Unpacked& a) { return a.kind >= Class::quiet_nan; }

Ext80 invalid(Context& context) {
  context.raise(kInvalid);
  return default_nan<F>();
}

// floor(value * 2^(127 - exponent)); the same digits as in x87.cpp's constants.
Real log2_of_e() { return Real::from_parts(0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88); }
Real ln_of_2() { return Real::from_parts(-1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af); }

// e^t - 1 for |t| <= ln 2: t (1 + t/2 (1 + t/3 (...))). (ln 2)^n / n! < 2^-130 for n = 34.
Real exp_minus_one(const Real& t) {
  const Real one = Real::integer(1);
  Real sum = one;
  for (u32 n = 34; n >= 2; n--) sum = one + t * sum / n;
  return t * sum;
}

// log2((1+z)/(1-z)) = 2/ln2 * z (1 + z^2/3 + z^4/5 + ...), for |z| <= 0.172: z^(2n) / (2n+1) < 2^-130 for n = 26.
Real log2_of_ratio(const Real& z) {
  const Real square = z * z;
  Real sum;
  for (u32 n = 27; n-- > 0;) sum = Real::integer(1) / (2 * n + 1) + square * sum;
  return z * sum * log2_of_e().times_power_of_two(1);
}

// log2 of a finite positive number other than a power of two. Split as m * 2^e with m in [sqrt(1/2), sqrt(2)]: the
// sum does not cancel, since for e != 0 it is at least 1/2 in magnitude.
Real log2(const Real& x) {
  constexpr u64 kSqrt2 = 0xb504f333f9de6484;  // floor(sqrt(2) * 2^63)
  const bool halve = static_cast<u64>(x.significand >> 64) >= kSqrt2;
  const i32 e = x.exponent + (halve ? 1 : 0);
  Real m = x;
  m.exponent = halve ? -1 : 0;
  const Real one = Real::integer(1);
  return Real::integer(e) + log2_of_ratio((m - one) / (m + one));
}

// What the silicon answers outside of a function's domain. For normal numbers.
Ext80 unchanged(const Unpacked& x) {
  return assemble<F>(x.sign, static_cast<unsigned>(x.exponent + F::bias), x.significand);
}

bool equals_one(const Unpacked& x) {
  return x.kind == Class::finite && !x.sign && x.exponent == 0 && x.significand == u64{1} << 63;
}

}  // namespace

Ext80 f2xm1(const Unpacked& x, Context& context) {
  context.rounded_up = false;
  if (needs_nan(x)) return propagate_nan<F>(x, context);
  if (x.kind == Class::zero) return zero<F>(x.sign);
  if (x.kind == Class::infinity) return x.sign ? assemble<F>(true, F::bias, u64{1} << 63) : infinity<F>(false);
  if (x.denormal) context.raise(kDenormal);
  if (x.exponent >= 0) {
    context.raise(kInexact);                                 // even where the result is exact, as the silicon does
    if (x.exponent == 0 && x.significand == u64{1} << 63) {  // 2^1 - 1 and 2^-1 - 1
      return assemble<F>(x.sign, static_cast<unsigned>(F::bias - (x.sign ? 1 : 0)), u64{1} << 63);
    }
    return unchanged(x);
  }
  return round_pack<F>(exp_minus_one(Real::from(x) * ln_of_2()).inexact(), context);
}

Ext80 fyl2x(const Unpacked& y, const Unpacked& x, Context& context) {
  context.rounded_up = false;
  if (needs_nan(x) || needs_nan(y)) return propagate_nan<F>(x, y, context);
  if (x.sign && x.kind != Class::zero) return invalid(context);
  const bool negative_log = x.kind == Class::zero || (x.kind == Class::finite && x.exponent < 0);
  const bool sign = y.sign != negative_log;
  if (x.kind == Class::zero || x.kind == Class::infinity) {
    if (y.kind == Class::zero) return invalid(context);
    if (x.kind == Class::zero) {
      if (y.kind == Class::finite) context.raise(kDivideByZero);  // takes precedence over #D
    } else if (y.denormal) {
      context.raise(kDenormal);
    }
    return infinity<F>(sign);
  }
  if (y.kind == Class::infinity) {
    if (equals_one(x)) return invalid(context);
    if (x.denormal) context.raise(kDenormal);
    return infinity<F>(sign);
  }
  if (x.denormal || y.denormal) context.raise(kDenormal);
  if (y.kind == Class::zero || equals_one(x)) return zero<F>(sign);
  if (x.significand == u64{1} << 63) {
    // A power of two: the product with the integer logarithm is exact, but the silicon reports #P (and #U) even so.
    const u32 magnitude = static_cast<u32>(x.exponent < 0 ? -x.exponent : x.exponent);
    const Wide product = normalize(sign, y.exponent + 64, u128{y.significand} * magnitude);
    context.raise(product.exponent < F::emin ? kInexact | kUnderflow : kInexact);
    return round_pack<F>(product, context);
  }
  return round_pack<F>((Real::from(y) * log2(Real::from(x))).inexact(), context);
}

Ext80 fyl2xp1(const Unpacked& y, const Unpacked& x, Context& context) {
  context.rounded_up = false;
  if (needs_nan(x) || needs_nan(y)) return propagate_nan<F>(x, y, context);
  const bool sign = x.sign != y.sign;
  if (x.kind == Class::infinity) {
    if (x.sign || y.kind == Class::zero) return invalid(context);
    if (y.denormal) context.raise(kDenormal);
    return infinity<F>(sign);
  }
  if (y.kind == Class::infinity) {
    if (x.kind == Class::zero) return invalid(context);
    if (x.denormal) context.raise(kDenormal);
    return infinity<F>(sign);
  }
  if (x.denormal || y.denormal) context.raise(kDenormal);
  if (x.kind == Class::zero || y.kind == Class::zero) return zero<F>(sign);
  if (x.sign && x.exponent >= 0) {
    context.raise(kInexact);
    return unchanged(x);
  }
  const Real argument = Real::from(x);
  const Real logarithm =
      x.exponent < -2 ? log2_of_ratio(argument / (argument + Real::integer(2))) : log2(argument + Real::integer(1));
  return round_pack<F>((Real::from(y) * logarithm).inexact(), context);
}

}  // namespace rondo::fp
