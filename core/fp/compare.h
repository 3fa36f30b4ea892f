// Comparisons, and MIN/MAX with the SSE meaning.
#pragma once

#include "core/fp/format.h"

namespace rondo::fp {

enum class Ordering : u8 { less, equal, greater, unordered };

// Quiet comparisons (UCOMISD, FUCOM, CMPEQ...) raise #I for signaling NaNs only, signaling ones (COMISD, FCOM,
// CMPLT...) for every NaN. Unsupported encodings always raise it.
enum class NanCompare : u8 { quiet, signaling };

inline Ordering compare(const Unpacked& a, const Unpacked& b, NanCompare nans, Context& context) {
  const bool signals = a.kind == Class::signaling_nan || b.kind == Class::signaling_nan ||
                       a.kind == Class::unsupported || b.kind == Class::unsupported;
  if (signals || a.is_nan() || b.is_nan()) {
    if (signals || nans == NanCompare::signaling) context.raise(kInvalid);
    return Ordering::unordered;
  }
  if (a.denormal || b.denormal) context.raise(kDenormal);
  if (a.kind == Class::zero && b.kind == Class::zero) return Ordering::equal;
  // Orders by (class, exponent, significand) within a sign; zero < finite < infinity.
  auto magnitude_less = [](const Unpacked& x, const Unpacked& y) {
    if (x.kind != y.kind) return x.kind < y.kind;
    if (x.kind != Class::finite) return false;
    return x.exponent != y.exponent ? x.exponent < y.exponent : x.significand < y.significand;
  };
  const bool a_negative = a.sign && a.kind != Class::zero;
  const bool b_negative = b.sign && b.kind != Class::zero;
  if (a_negative != b_negative) return a_negative ? Ordering::less : Ordering::greater;
  const bool smaller = magnitude_less(a, b);
  const bool larger = magnitude_less(b, a);
  if (!smaller && !larger) return Ordering::equal;
  return smaller != a_negative ? Ordering::less : Ordering::greater;
}

template <class F>
Ordering compare(typename F::Bits a, typename F::Bits b, NanCompare nans, Context& context) {
  return compare(unpack<F>(a, context), unpack<F>(b, context), nans, context);
}

// A denormal that DAZ flushes is returned as zero.
template <class F>
typename F::Bits flushed(typename F::Bits bits, const Context& context) {
  const Unpacked u = unpack<F>(bits, context);
  return u.kind == Class::zero ? zero<F>(u.sign) : bits;
}

// MINSS and relatives (SDM 2, MINSD): a < b ? a : b; the second operand if both are zero or either is a NaN, and any
// NaN raises #I.
template <class F>
typename F::Bits min(typename F::Bits a, typename F::Bits b, Context& context) {
  return compare<F>(a, b, NanCompare::signaling, context) == Ordering::less ? flushed<F>(a, context)
                                                                            : flushed<F>(b, context);
}
template <class F>
typename F::Bits max(typename F::Bits a, typename F::Bits b, Context& context) {
  return compare<F>(a, b, NanCompare::signaling, context) == Ordering::greater ? flushed<F>(a, context)
                                                                               : flushed<F>(b, context);
}

// CMPxxPS and relatives: the eight SSE predicates (SDM 2, CMPPD table 3-1).
template <class F>
bool compare_predicate(typename F::Bits a, typename F::Bits b, unsigned predicate, Context& context) {
  const unsigned relation = predicate & 3;  // eq, lt, le, unord
  const bool signaling = relation == 1 || relation == 2;
  const Ordering o = compare<F>(a, b, signaling ? NanCompare::signaling : NanCompare::quiet, context);
  const bool result = relation == 0   ? o == Ordering::equal
                      : relation == 1 ? o == Ordering::less
                      : relation == 2 ? o == Ordering::less || o == Ordering::equal
                                      : o == Ordering::unordered;
  return result != ((predicate & 4) != 0);
}

}  // namespace rondo::fp
