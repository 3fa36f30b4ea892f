#include "core/fp/round.h"

namespace rondo::fp {
namespace {

struct Rounded {
  u128 significand;
  bool carry;  // the significand overflowed to 2^128 (significand is then 0)
  bool inexact;
  bool up;  // magnitude increased
};

// Rounds away the low `drop` bits, 1..127.
Rounded round_at(u128 significand, int drop, bool sign, Rounding mode) {
  const u128 unit = u128{1} << drop;
  const u128 rest = significand & (unit - 1);
  const u128 half = unit >> 1;
  const u128 kept = significand - rest;
  bool up = false;
  switch (mode) {
    case Rounding::nearest:
      up = rest > half || (rest == half && (kept & unit) != 0);
      break;
    case Rounding::down:
      up = sign && rest != 0;
      break;
    case Rounding::up:
      up = !sign && rest != 0;
      break;
    case Rounding::zero:
      break;
  }
  const u128 result = up ? kept + unit : kept;
  return {result, up && result == 0, rest != 0, up};
}

// The masked response to overflow: infinity or the largest finite number (SDM 1, table 4-10).
template <class F>
typename F::Bits overflow_result(bool sign, int precision, Context& context) {
  const bool to_infinity = context.rounding == Rounding::nearest || (context.rounding == Rounding::up && !sign) ||
                           (context.rounding == Rounding::down && sign);
  context.rounded_up = to_infinity;
  if (to_infinity) return infinity<F>(sign);
  return assemble<F>(sign, F::emax + F::bias, ~u64{0} << (64 - precision));
}

}  // namespace

template <class F>
typename F::Bits round_pack(const Wide& value, Context& context, int precision) {
  constexpr i32 kBiasAdjust = 24576;  // 3 * 2^13
  const int drop = 128 - precision;
  Rounded rounded = round_at(value.significand, drop, value.sign, context.rounding);
  i32 exponent = value.exponent;
  if (rounded.carry) {
    rounded.significand = u128{1} << 127;
    exponent++;
  }

  if (exponent > F::emax) {
    context.raise(kOverflow);
    if (context.masked & kOverflow) {
      context.raise(kInexact);
      return overflow_result<F>(value.sign, precision, context);
    }
    exponent -= kBiasAdjust;
    if (exponent > F::emax) {  // FSCALE only: out of range even so; infinity whatever RC says (SDM 1, 8.5.4)
      context.raise(kInexact);
      context.rounded_up = true;
      return infinity<F>(value.sign);
    }
  } else if (exponent < F::emin) {
    if ((context.masked & kUnderflow) == 0) {
      context.raise(kUnderflow);
      exponent += kBiasAdjust;
      if (exponent < F::emin) {  // as above
        context.raise(kInexact);
        context.rounded_up = false;
        return zero<F>(value.sign);
      }
    } else if (context.ftz && !kIsX87<F>) {
      context.raise(kUnderflow | kInexact);
      context.rounded_up = false;
      return zero<F>(value.sign);
    } else {
      const u128 shifted = shift_right_sticky(value.significand, static_cast<unsigned>(F::emin - value.exponent));
      rounded = round_at(shifted, drop, value.sign, context.rounding);
      if (rounded.inexact) context.raise(kUnderflow | kInexact);
      context.rounded_up = rounded.up;
      const u64 significand = static_cast<u64>(rounded.significand >> 64);
      return assemble<F>(value.sign, static_cast<unsigned>(significand >> 63), significand);
    }
  }
  if (rounded.inexact) context.raise(kInexact);
  context.rounded_up = rounded.up;
  return assemble<F>(value.sign, static_cast<unsigned>(exponent + F::bias) & ((1u << F::exponent_bits) - 1),
                     static_cast<u64>(rounded.significand >> 64));
}

template <class F>
typename F::Bits propagate_nan(const Unpacked& a, const Unpacked& b, Context& context) {
  if (a.kind == Class::unsupported || b.kind == Class::unsupported) {
    context.raise(kInvalid);
    return default_nan<F>();
  }
  const bool a_signals = a.kind == Class::signaling_nan;
  const bool b_signals = b.kind == Class::signaling_nan;
  if (a_signals || b_signals) context.raise(kInvalid);
  if (!b.is_nan()) return quiet_nan<F>(a);
  if (!a.is_nan()) return quiet_nan<F>(b);
  if constexpr (!kIsX87<F>) {
    return quiet_nan<F>(a);
  } else {
    if (a_signals != b_signals) return quiet_nan<F>(a_signals ? b : a);  // the quiet one
    if (a.significand != b.significand) return quiet_nan<F>(a.significand > b.significand ? a : b);
    return quiet_nan<F>(a.sign ? b : a);  // equal: the positive one
  }
}

template <class F>
typename F::Bits propagate_nan(const Unpacked& a, Context& context) {
  return propagate_nan<F>(a, Unpacked{}, context);
}

#define INSTANTIATE(F)                                                                    \
  template typename F::Bits round_pack<F>(const Wide&, Context&, int);                    \
  template typename F::Bits propagate_nan<F>(const Unpacked&, const Unpacked&, Context&); \
  template typename F::Bits propagate_nan<F>(const Unpacked&, Context&);
INSTANTIATE(Binary32)
INSTANTIATE(Binary64)
INSTANTIATE(Extended80)
#undef INSTANTIATE

}  // namespace rondo::fp
