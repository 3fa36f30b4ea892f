#include "core/fp/x87.h"

#include "core/fp/convert.h"

namespace rondo::fp {
namespace {

using F = Extended80;

bool needs_nan(const Unpacked& a) { return a.kind >= Class::quiet_nan; }

Ext80 exact_integer(i64 value) {
  Context exact;
  return from_integer<F>(value, exact);
}

}  // namespace

PartialRemainder remainder(const Unpacked& a, const Unpacked& b, bool nearest, Context& context) {
  context.rounded_up = false;
  if (needs_nan(a) || needs_nan(b)) return {propagate_nan<F>(a, b, context)};
  if (a.kind == Class::infinity || b.kind == Class::zero) {
    context.raise(kInvalid);
    return {default_nan<F>()};
  }
  if (a.denormal || b.denormal) context.raise(kDenormal);
  if (a.kind == Class::zero) return {zero<F>(a.sign)};
  const int full_precision = 64;
  if (b.kind == Class::infinity) return {round_pack<F>(widen(a), context, full_precision)};

  const i32 distance = a.exponent - b.exponent;
  if (distance < -1 || (distance < 0 && !nearest)) return {round_pack<F>(widen(a), context, full_precision)};
  if (distance >= 64) {
    const i32 step = 32 + distance % 32;
    const u64 rest = static_cast<u64>((u128{a.significand} << step) % b.significand);
    const i32 exponent = b.exponent + distance - step;
    if (rest == 0) return {zero<F>(a.sign), true};
    return {round_pack<F>(normalize(a.sign, exponent + 64, rest), context, full_precision), true};
  }
  // Work in units of b's last place (of half of it if a is the smaller one), where both are integers.
  const i32 unit_exponent = distance < 0 ? b.exponent - 1 : b.exponent;
  const u128 dividend = u128{a.significand} << (distance < 0 ? 0 : distance);
  const u128 divisor = distance < 0 ? u128{b.significand} << 1 : u128{b.significand};
  u128 quotient = dividend / divisor;
  u128 rest = dividend % divisor;
  bool sign = a.sign;
  if (nearest && (rest * 2 > divisor || (rest * 2 == divisor && (quotient & 1) != 0))) {
    quotient++;
    rest = divisor - rest;
    sign = !sign;
  }
  const u8 low_bits = static_cast<u8>(quotient & 7);
  if (rest == 0) return {zero<F>(a.sign), false, low_bits};
  return {round_pack<F>(normalize(sign, unit_exponent + 64, rest), context, full_precision), false, low_bits};
}

Ext80 scale(const Unpacked& a, const Unpacked& b, Context& context) {
  context.rounded_up = false;
  if (needs_nan(a) || needs_nan(b)) return propagate_nan<F>(a, b, context);
  if (b.kind == Class::infinity) {
    if (b.sign ? a.kind == Class::infinity : a.kind == Class::zero) {
      context.raise(kInvalid);
      return default_nan<F>();
    }
    if (a.denormal) context.raise(kDenormal);
    return b.sign ? zero<F>(a.sign) : infinity<F>(a.sign);
  }
  if (a.denormal || b.denormal) context.raise(kDenormal);
  if (a.kind == Class::infinity) return infinity<F>(a.sign);
  if (a.kind == Class::zero) return zero<F>(a.sign);
  // 2^17 is past every exponent, biased or not.
  constexpr i32 kClamp = 0x20000;
  const Integral by = to_integral(b, Rounding::zero);
  const i32 magnitude = b.kind == Class::zero                ? 0
                        : !by.valid || by.magnitude > kClamp ? kClamp
                                                             : static_cast<i32>(by.magnitude);
  Wide result = widen(a);
  result.exponent += b.sign ? -magnitude : magnitude;
  return round_pack<F>(result, context, 64);
}

Extracted extract(const Unpacked& a, Context& context) {
  context.rounded_up = false;
  if (needs_nan(a)) {
    const Ext80 nan = propagate_nan<F>(a, context);
    return {nan, nan};
  }
  if (a.kind == Class::infinity) return {infinity<F>(false), infinity<F>(a.sign)};
  if (a.kind == Class::zero) {
    context.raise(kDivideByZero);
    return {infinity<F>(true), zero<F>(a.sign)};
  }
  if (a.denormal) context.raise(kDenormal);
  return {exact_integer(a.exponent), assemble<F>(a.sign, F::bias, a.significand)};
}

Ext80 constant(Constant which, Rounding rounding) {
  // floor(value * 2^(127 - exponent)), derived with 200 digits; the truncated rest is folded into bit 0.
  struct Entry {
    i32 exponent;
    u64 high, low;
  };
  static constexpr Entry kLog2Of10{1, 0xd49a784bcd1b8afe, 0x492bf6ff4dafdb4c};
  static constexpr Entry kLog2OfE{0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88};
  static constexpr Entry kPi{1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1};
  static constexpr Entry kLog10Of2{-2, 0x9a209a84fbcff798, 0x8f8959ac0b7c9178};
  static constexpr Entry kLnOf2{-1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af};
  const Entry* entry = nullptr;
  switch (which) {
    case Constant::one:
      return exact_integer(1);
    case Constant::zero:
      return zero<F>(false);
    case Constant::log2_10:
      entry = &kLog2Of10;
      break;
    case Constant::log2_e:
      entry = &kLog2OfE;
      break;
    case Constant::pi:
      entry = &kPi;
      break;
    case Constant::log10_2:
      entry = &kLog10Of2;
      break;
    case Constant::ln_2:
      entry = &kLnOf2;
      break;
  }
  Context context;
  context.rounding = rounding;
  return round_pack<F>({false, entry->exponent, (u128{entry->high} << 64) | entry->low | 1}, context);
}

u8 examine(Ext80 value) {
  const Unpacked u = unpack<F>(value);
  switch (u.kind) {
    case Class::unsupported:
      return 0b000;
    case Class::quiet_nan:
    case Class::signaling_nan:
      return 0b001;
    case Class::finite:
      return u.denormal ? 0b110 : 0b010;
    case Class::infinity:
      return 0b011;
    case Class::zero:
      return 0b100;
  }
  return 0b000;
}

}  // namespace rondo::fp
