// Add, subtract, multiply, divide, square root, rounding to an integral value: exact, then rounded once.
// F is the format of the result. Operands are unpacked and may come from a narrower format (x87 memory operands).
#pragma once

#include "core/fp/format.h"

namespace rondo::fp {

template <class F>
typename F::Bits add(const Unpacked& a, const Unpacked& b, Context& context);
template <class F>
typename F::Bits sub(const Unpacked& a, const Unpacked& b, Context& context);
template <class F>
typename F::Bits mul(const Unpacked& a, const Unpacked& b, Context& context);
template <class F>
typename F::Bits div(const Unpacked& a, const Unpacked& b, Context& context);
template <class F>
typename F::Bits sqrt(const Unpacked& a, Context& context);

// Rounds to an integral value of the same format (ROUNDSS, FRNDINT). `mode` is separate from the context's because
// ROUNDSS has its own. Raises #P when the value changes; #D is the caller's choice: see `without_denormal`.
template <class F>
typename F::Bits round_to_integral(const Unpacked& a, Rounding mode, Context& context);

// An operand whose being denormal is not reported: for the instructions that never raise #D.
constexpr Unpacked without_denormal(Unpacked u) {
  u.denormal = false;
  return u;
}

// The same on packed operands.
template <class F>
typename F::Bits add(typename F::Bits a, typename F::Bits b, Context& context) {
  return add<F>(unpack<F>(a, context), unpack<F>(b, context), context);
}
template <class F>
typename F::Bits sub(typename F::Bits a, typename F::Bits b, Context& context) {
  return sub<F>(unpack<F>(a, context), unpack<F>(b, context), context);
}
template <class F>
typename F::Bits mul(typename F::Bits a, typename F::Bits b, Context& context) {
  return mul<F>(unpack<F>(a, context), unpack<F>(b, context), context);
}
template <class F>
typename F::Bits div(typename F::Bits a, typename F::Bits b, Context& context) {
  return div<F>(unpack<F>(a, context), unpack<F>(b, context), context);
}
template <class F>
typename F::Bits sqrt(typename F::Bits a, Context& context) {
  return sqrt<F>(unpack<F>(a, context), context);
}

}  // namespace rondo::fp
