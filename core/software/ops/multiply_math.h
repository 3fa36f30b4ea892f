// Multiplication and division as pure functions (SDM 2A/2B: MUL, IMUL, DIV, IDIV).
#pragma once

#include <limits>

#include "core/cpu/lazy_flags.h"

namespace rondo {

namespace detail {
template <unsigned Bytes>
struct WideOf;
template <>
struct WideOf<1> {
  using Unsigned = u16;
  using Signed = i16;
};
template <>
struct WideOf<2> {
  using Unsigned = u32;
  using Signed = i32;
};
template <>
struct WideOf<4> {
  using Unsigned = u64;
  using Signed = i64;
};
template <>
struct WideOf<8> {
  using Unsigned = u128;
  using Signed = i128;
};
}  // namespace detail

// Twice the width of T.
template <class T>
using Wide = typename detail::WideOf<sizeof(T)>::Unsigned;
template <class T>
using SignedWide = typename detail::WideOf<sizeof(T)>::Signed;

template <class T>
struct Product {
  T low;
  T high;
  bool overflow;  // CF and OF: the high half is needed
};

template <class T>
constexpr Product<T> alu_mul(T a, T b) {
  const Wide<T> r = static_cast<Wide<T>>(static_cast<Wide<T>>(a) * b);
  const T high = static_cast<T>(r >> (8 * sizeof(T)));
  return {static_cast<T>(r), high, high != 0};
}

template <class T>
constexpr Product<T> alu_imul(T a, T b) {
  using S = std::make_signed_t<T>;
  const auto r = static_cast<SignedWide<T>>(static_cast<SignedWide<T>>(static_cast<S>(a)) * static_cast<S>(b));
  return {static_cast<T>(r), static_cast<T>(r >> (8 * sizeof(T))), r != static_cast<S>(r)};
}

template <class T>
struct Quotient {
  T quotient;
  T remainder;
  bool ok;  // false: #DE
};

template <class T>
constexpr Quotient<T> alu_div(T high, T low, T divisor) {
  if (high >= divisor) return {0, 0, false};  // includes a divisor of zero
  if (sizeof(T) == 8 && high == 0) return {static_cast<T>(low / divisor), static_cast<T>(low % divisor), true};
  const Wide<T> n = static_cast<Wide<T>>(static_cast<Wide<T>>(high) << (8 * sizeof(T)) | low);
  return {static_cast<T>(n / divisor), static_cast<T>(n % divisor), true};
}

template <class T>
constexpr Quotient<T> alu_idiv(T high, T low, T divisor) {
  using S = std::make_signed_t<T>;
  using W = Wide<T>;
  // In magnitudes, so that the most negative dividend is no special case.
  const bool minus_dividend = static_cast<S>(high) < 0, minus_divisor = static_cast<S>(divisor) < 0;
  if (divisor == 0) return {0, 0, false};
  const W raw = static_cast<W>(static_cast<W>(high) << (8 * sizeof(T)) | low);
  const W n = minus_dividend ? static_cast<W>(W{0} - raw) : raw;
  const W d = minus_divisor ? static_cast<W>(static_cast<T>(T{0} - divisor)) : static_cast<W>(divisor);
  W q, r;
  if (sizeof(T) == 8 && static_cast<u64>(n >> (4 * sizeof(T)) >> (4 * sizeof(T))) == 0) {
    q = static_cast<u64>(n) / static_cast<u64>(d);
    r = static_cast<u64>(n) % static_cast<u64>(d);
  } else {
    q = static_cast<W>(n / d);
    r = static_cast<W>(n % d);
  }
  const bool minus = minus_dividend != minus_divisor;
  const W limit = static_cast<W>(static_cast<W>(std::numeric_limits<S>::max()) + (minus ? 1 : 0));
  if (q > limit) return {0, 0, false};
  const T quotient = static_cast<T>(q), remainder = static_cast<T>(r);
  return {static_cast<T>(minus ? T{0} - quotient : quotient),
          static_cast<T>(minus_dividend ? T{0} - remainder : remainder), true};
}

}  // namespace rondo
