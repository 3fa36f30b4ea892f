#include "core/fp/arithmetic.h"

#include "core/fp/round.h"

namespace rondo::fp {
namespace {

template <class F>
int result_precision(const Context& context) {
  return kIsX87<F> ? context.precision : F::precision;
}

bool needs_nan(const Unpacked& a) { return a.kind >= Class::quiet_nan; }

template <class F>
typename F::Bits invalid(Context& context) {
  context.raise(kInvalid);
  return default_nan<F>();
}

void note_denormals(const Unpacked& a, const Unpacked& b, Context& context) {
  if (a.denormal || b.denormal) context.raise(kDenormal);
}

// a + b for operands that are not NaN; the caller has flipped b's sign for a subtraction.
template <class F>
typename F::Bits add_numbers(const Unpacked& a, const Unpacked& b, Context& context) {
  const bool exact_zero_sign = context.rounding == Rounding::down;
  if (a.kind == Class::infinity || b.kind == Class::infinity) {
    if (a.kind == b.kind && a.sign != b.sign) return invalid<F>(context);
    note_denormals(a, b, context);
    return infinity<F>(a.kind == Class::infinity ? a.sign : b.sign);
  }
  note_denormals(a, b, context);
  if (a.kind == Class::zero && b.kind == Class::zero) return zero<F>(a.sign == b.sign ? a.sign : exact_zero_sign);
  if (a.kind == Class::zero) return round_pack<F>(widen(b), context, result_precision<F>(context));
  if (b.kind == Class::zero) return round_pack<F>(widen(a), context, result_precision<F>(context));

  const bool a_larger = a.exponent > b.exponent || (a.exponent == b.exponent && a.significand >= b.significand);
  const Unpacked& large = a_larger ? a : b;
  const Unpacked& small = a_larger ? b : a;
  // Bit 126 leaves room for a carry. 62 bits below the significand: a shift that drops bits into the sticky bit
  // (distance > 62) can lose at most one leading bit to cancellation, so the sticky bit stays below the rounding bit.
  const u128 x = u128{large.significand} << 63;
  const u128 y =
      shift_right_sticky(u128{small.significand} << 63, static_cast<unsigned>(large.exponent - small.exponent));
  const u128 sum = large.sign == small.sign ? x + y : x - y;
  if (sum == 0) return zero<F>(exact_zero_sign);
  return round_pack<F>(normalize(large.sign, large.exponent + 1, sum), context, result_precision<F>(context));
}

// floor(sqrt(value)) for value >= 2^126, with the remainder.
u64 integer_sqrt(u128 value, u128& remainder) {
  u128 root = 0;
  u128 rest = value;
  for (u128 bit = u128{1} << 126; bit != 0; bit >>= 2) {
    const u128 trial = root + bit;
    root >>= 1;
    if (rest >= trial) {
      rest -= trial;
      root += bit;
    }
  }
  remainder = rest;
  return static_cast<u64>(root);
}

}  // namespace

template <class F>
typename F::Bits add(const Unpacked& a, const Unpacked& b, Context& context) {
  if (needs_nan(a) || needs_nan(b)) return propagate_nan<F>(a, b, context);
  return add_numbers<F>(a, b, context);
}

template <class F>
typename F::Bits sub(const Unpacked& a, const Unpacked& b, Context& context) {
  if (needs_nan(a) || needs_nan(b)) return propagate_nan<F>(a, b, context);
  Unpacked negated = b;
  negated.sign = !b.sign;
  return add_numbers<F>(a, negated, context);
}

template <class F>
typename F::Bits mul(const Unpacked& a, const Unpacked& b, Context& context) {
  if (needs_nan(a) || needs_nan(b)) return propagate_nan<F>(a, b, context);
  const bool sign = a.sign != b.sign;
  if (a.kind == Class::infinity || b.kind == Class::infinity) {
    if (a.kind == Class::zero || b.kind == Class::zero) return invalid<F>(context);
    note_denormals(a, b, context);
    return infinity<F>(sign);
  }
  note_denormals(a, b, context);
  if (a.kind == Class::zero || b.kind == Class::zero) return zero<F>(sign);
  const u128 product = u128{a.significand} * b.significand;
  return round_pack<F>(normalize(sign, a.exponent + b.exponent + 1, product), context, result_precision<F>(context));
}

template <class F>
typename F::Bits div(const Unpacked& a, const Unpacked& b, Context& context) {
  if (needs_nan(a) || needs_nan(b)) return propagate_nan<F>(a, b, context);
  const bool sign = a.sign != b.sign;
  if (a.kind == Class::infinity) {
    if (b.kind == Class::infinity) return invalid<F>(context);
    note_denormals(a, b, context);
    return infinity<F>(sign);
  }
  if (b.kind == Class::infinity) {
    note_denormals(a, b, context);
    return zero<F>(sign);
  }
  if (b.kind == Class::zero) {
    if (a.kind == Class::zero) return invalid<F>(context);
    context.raise(kDivideByZero);  // takes precedence over #D (SDM 1, 4.9.2)
    return infinity<F>(sign);
  }
  note_denormals(a, b, context);
  if (a.kind == Class::zero) return zero<F>(sign);
  // A 128-bit quotient of the significands, in [1, 2) after taking the integer bit out, or in (1/2, 1).
  const bool at_least_one = a.significand >= b.significand;
  const u64 rest = at_least_one ? a.significand - b.significand : a.significand;
  const u128 high_dividend = u128{rest} << 64;
  const u128 high = high_dividend / b.significand;
  const u128 low_dividend = (high_dividend % b.significand) << 64;
  const u128 low = low_dividend / b.significand;
  const u128 sticky = low_dividend % b.significand != 0;
  const u128 fraction = (high << 64) | low | sticky;
  const u128 quotient = at_least_one ? (u128{1} << 127) | shift_right_sticky(fraction, 1) : fraction;
  const i32 exponent = a.exponent - b.exponent - (at_least_one ? 0 : 1);
  return round_pack<F>({sign, exponent, quotient}, context, result_precision<F>(context));
}

template <class F>
typename F::Bits sqrt(const Unpacked& a, Context& context) {
  if (needs_nan(a)) return propagate_nan<F>(a, context);
  if (a.kind == Class::zero) return zero<F>(a.sign);
  if (a.sign) return invalid<F>(context);
  if (a.kind == Class::infinity) return infinity<F>(false);
  note_denormals(a, a, context);
  // value = s * 2^(e-63) with e made even: sqrt = sqrt(s * 2^63 or 2^64) * 2^(e/2 - 63).
  const bool odd = (a.exponent & 1) != 0;
  u128 remainder = 0;
  const u64 root = integer_sqrt(u128{a.significand} << (odd ? 64 : 63), remainder);
  // root has bit 63 set. The next bit of the root is 1 exactly if remainder > root: (root + 1/2)^2 is never reached.
  const u128 below = (u128{remainder > root} << 63) | static_cast<u128>(remainder != 0);
  const i32 exponent = (a.exponent - (odd ? 1 : 0)) / 2;
  return round_pack<F>({false, exponent, (u128{root} << 64) | below}, context, result_precision<F>(context));
}

template <class F>
typename F::Bits round_to_integral(const Unpacked& a, Rounding mode, Context& context) {
  if (needs_nan(a)) return propagate_nan<F>(a, context);
  if (a.kind == Class::infinity) return infinity<F>(a.sign);
  if (a.kind == Class::zero) return zero<F>(a.sign);
  note_denormals(a, a, context);
  context.rounded_up = false;
  if (a.exponent >= 63) return round_pack<F>(widen(a), context);
  // Fixed point with 64 fraction bits; what lies below is sticky.
  const u128 value = shift_right_sticky(u128{a.significand} << 64, static_cast<unsigned>(63 - a.exponent));
  const u64 fraction = static_cast<u64>(value);
  const u64 half = u64{1} << 63;
  u128 integer = value >> 64;
  bool up = false;
  switch (mode) {
    case Rounding::nearest:
      up = fraction > half || (fraction == half && (integer & 1) != 0);
      break;
    case Rounding::down:
      up = a.sign && fraction != 0;
      break;
    case Rounding::up:
      up = !a.sign && fraction != 0;
      break;
    case Rounding::zero:
      break;
  }
  if (up) integer++;
  if (fraction != 0) context.raise(kInexact);
  if (integer == 0) return zero<F>(a.sign);
  const auto result = round_pack<F>(normalize(a.sign, 127, integer), context);  // exact
  context.rounded_up = up;
  return result;
}

#define INSTANTIATE(F)                                                          \
  template typename F::Bits add<F>(const Unpacked&, const Unpacked&, Context&); \
  template typename F::Bits sub<F>(const Unpacked&, const Unpacked&, Context&); \
  template typename F::Bits mul<F>(const Unpacked&, const Unpacked&, Context&); \
  template typename F::Bits div<F>(const Unpacked&, const Unpacked&, Context&); \
  template typename F::Bits sqrt<F>(const Unpacked&, Context&);                 \
  template typename F::Bits round_to_integral<F>(const Unpacked&, Rounding, Context&);
INSTANTIATE(Binary32)
INSTANTIATE(Binary64)
INSTANTIATE(Extended80)
#undef INSTANTIATE

}  // namespace rondo::fp
