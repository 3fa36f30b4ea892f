// The fast path for SSE arithmetic: the host's IEEE operators where they provably give the bits and the flags of the
// soft path. Every `fast_*` returns false if it does not apply; the caller then takes the soft path.
//
// Conditions: `fast_mode(mxcsr)` (round to nearest, #P masked and its flag already set, so that being inexact changes
// nothing); operands zero or normal (no #D, no DAZ, no NaN); a result that is normal and at least twice the smallest
// normal number (no tininess question, no FTZ, no overflow), or an exact zero. IEEE 754 fixes everything else.
// Needs -ffp-contract=off and doubles that are not evaluated in x87 registers; the host runs in its default mode.
#pragma once

#include <cfloat>
#include <cmath>

#include "core/fp/format.h"

namespace rondo::fp {

static_assert(FLT_EVAL_METHOD == 0, "the fast path needs float and double arithmetic without excess precision");

// RC = nearest, PM set, PE set.
constexpr bool fast_mode(u32 mxcsr) { return (mxcsr & (0x6000 | 0x1000 | 0x20)) == (0x1000 | 0x20); }

template <class F>
struct HostFloat;
template <>
struct HostFloat<Binary32> {
  using Type = float;
};
template <>
struct HostFloat<Binary64> {
  using Type = double;
};

template <class F>
constexpr typename HostFloat<F>::Type to_host(typename F::Bits bits) {
  return std::bit_cast<typename HostFloat<F>::Type>(bits);
}
template <class F>
constexpr typename F::Bits from_host(typename HostFloat<F>::Type value) {
  return std::bit_cast<typename F::Bits>(value);
}

namespace detail {
template <class F>
constexpr unsigned biased_exponent(typename F::Bits bits) {
  return static_cast<unsigned>(bits >> (F::precision - 1)) & ((1u << F::exponent_bits) - 1);
}
template <class F>
constexpr bool is_zero(typename F::Bits bits) {
  return static_cast<typename F::Bits>(bits << 1) == 0;
}
template <class F>
constexpr bool is_normal(typename F::Bits bits) {
  return biased_exponent<F>(bits) - 1 < (1u << F::exponent_bits) - 2;
}
template <class F>
constexpr bool is_plain(typename F::Bits bits) {
  return is_normal<F>(bits) || is_zero<F>(bits);
}
// A result away from both ends of the exponent range.
template <class F>
constexpr bool is_safe(typename F::Bits bits) {
  return biased_exponent<F>(bits) - 2 < (1u << F::exponent_bits) - 3;
}
}  // namespace detail

template <class F>
inline bool fast_add(typename F::Bits a, typename F::Bits b, typename F::Bits& result) {
  result = from_host<F>(to_host<F>(a) + to_host<F>(b));
  // A sum that is zero is exact: sums of plain operands are multiples of the smallest denormal.
  return detail::is_plain<F>(a) && detail::is_plain<F>(b) && (detail::is_safe<F>(result) || detail::is_zero<F>(result));
}

template <class F>
inline bool fast_sub(typename F::Bits a, typename F::Bits b, typename F::Bits& result) {
  result = from_host<F>(to_host<F>(a) - to_host<F>(b));
  return detail::is_plain<F>(a) && detail::is_plain<F>(b) && (detail::is_safe<F>(result) || detail::is_zero<F>(result));
}

template <class F>
inline bool fast_mul(typename F::Bits a, typename F::Bits b, typename F::Bits& result) {
  result = from_host<F>(to_host<F>(a) * to_host<F>(b));
  return detail::is_plain<F>(a) && detail::is_plain<F>(b) &&
         (detail::is_safe<F>(result) || detail::is_zero<F>(a) || detail::is_zero<F>(b));
}

template <class F>
inline bool fast_div(typename F::Bits a, typename F::Bits b, typename F::Bits& result) {
  if (!detail::is_plain<F>(a) || !detail::is_normal<F>(b)) return false;
  result = from_host<F>(to_host<F>(a) / to_host<F>(b));
  return detail::is_safe<F>(result) || detail::is_zero<F>(a);
}

template <class F>
inline bool fast_sqrt(typename F::Bits a, typename F::Bits& result) {
  if (!detail::is_normal<F>(a) || sign_of<F>(a)) return false;
  result = from_host<F>(std::sqrt(to_host<F>(a)));
  return true;
}

// Operands for which a comparison, MIN or MAX raises no flag whatever MXCSR says: no NaN, no denormal.
template <class F>
constexpr bool fast_comparable(typename F::Bits a, typename F::Bits b) {
  constexpr unsigned kMax = (1u << F::exponent_bits) - 1;
  auto fine = [](typename F::Bits x) {
    return detail::is_plain<F>(x) ||
           (detail::biased_exponent<F>(x) == kMax && static_cast<typename F::Bits>(x << (F::exponent_bits + 1)) == 0);
  };
  return fine(a) && fine(b);
}

}  // namespace rondo::fp
