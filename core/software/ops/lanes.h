// Vectors as arrays of lanes: pure functions that serve MMX (V = u64) and XMM (V = Xmm) alike. They are always inlined:
// an operand on a handler's stack that another function sees would keep the handler from ending in a sibling call.
#pragma once

#include <array>
#include <bit>
#include <limits>
#include <type_traits>

#include "core/cpu/state.h"

namespace rondo::software {

template <class T, class V>
using Lanes = std::array<T, sizeof(V) / sizeof(T)>;

template <class T, class V>
[[gnu::always_inline]] inline Lanes<T, V> split(const V& v) {
  return std::bit_cast<Lanes<T, V>>(v);
}
template <class V, class L>
[[gnu::always_inline]] inline V join(const L& lanes) {
  return std::bit_cast<V>(lanes);
}

// r[i] = f(a[i], b[i])
template <class T, class V, class F>
[[gnu::always_inline]] inline V map(const V& a, const V& b, F f) {
  auto x = split<T>(a);
  const auto y = split<T>(b);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = static_cast<T>(f(x[i], y[i]));
  return join<V>(x);
}
template <class T, class V, class F>
[[gnu::always_inline]] inline V map(const V& a, F f) {
  auto x = split<T>(a);
  for (auto& lane : x) lane = static_cast<T>(f(lane));
  return join<V>(x);
}

// Clamps to the range of T.
template <class T>
constexpr T saturate(i32 value) {
  constexpr i32 kLow = std::numeric_limits<T>::min();
  constexpr i32 kHigh = std::numeric_limits<T>::max();
  return static_cast<T>(value < kLow ? kLow : value > kHigh ? kHigh : value);
}

// PACKxxyy: the lanes of a, then those of b, narrowed with saturation.
template <class Wide, class Narrow, class V>
[[gnu::always_inline]] inline V pack_lanes(const V& a, const V& b) {
  const auto x = split<Wide>(a), y = split<Wide>(b);
  Lanes<Narrow, V> r;
  for (std::size_t i = 0; i < x.size(); i++) {
    r[i] = saturate<Narrow>(x[i]);
    r[i + x.size()] = saturate<Narrow>(y[i]);
  }
  return join<V>(r);
}

// PUNPCKL/H: interleaves the lower or upper halves.
template <class T, bool high, class V>
[[gnu::always_inline]] inline V interleave(const V& a, const V& b) {
  const auto x = split<T>(a), y = split<T>(b);
  constexpr std::size_t kHalf = sizeof(V) / sizeof(T) / 2;
  constexpr std::size_t kFirst = high ? kHalf : 0;
  Lanes<T, V> r;
  for (std::size_t i = 0; i < kHalf; i++) {
    r[2 * i] = x[kFirst + i];
    r[2 * i + 1] = y[kFirst + i];
  }
  return join<V>(r);
}

// PHADD/PHSUB: f on neighbours, first those of a, then those of b.
template <class T, class V, class F>
[[gnu::always_inline]] inline V horizontal(const V& a, const V& b, F f) {
  const auto x = split<T>(a), y = split<T>(b);
  constexpr std::size_t kHalf = sizeof(V) / sizeof(T) / 2;
  Lanes<T, V> r;
  for (std::size_t i = 0; i < kHalf; i++) {
    r[i] = static_cast<T>(f(x[2 * i], x[2 * i + 1]));
    r[i + kHalf] = static_cast<T>(f(y[2 * i], y[2 * i + 1]));
  }
  return join<V>(r);
}

template <class V>
constexpr u64 low_quad(const V& v) {
  if constexpr (sizeof(V) == 8) {
    return v;
  } else {
    return v.lane[0];
  }
}

// Bits [8 * count, ...) of a:b, a above; zeros come in from the top (PALIGNR, PSRLDQ). Any count.
template <class V>
[[gnu::always_inline]] inline V align_right(const V& a, const V& b, unsigned count) {
  const auto x = split<u8>(a), y = split<u8>(b);
  constexpr unsigned kBytes = sizeof(V);
  Lanes<u8, V> r{};
  for (unsigned i = 0; i < kBytes; i++) {
    const unsigned from = i + count;
    r[i] = from < kBytes ? y[from] : from < 2 * kBytes ? x[from - kBytes] : u8{0};
  }
  return join<V>(r);
}

}  // namespace rondo::software
