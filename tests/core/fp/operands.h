// Operands for the floating-point tests: corners, and random bits with interesting shapes. Deterministic.
#pragma once

#include <vector>

#include "core/fp/format.h"

namespace rondo::fp::test {

class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() {  // splitmix64
    u64 z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(next() % n); }

 private:
  u64 state_;
};

// Significands with long runs of zeros and ones, and plain random ones.
inline u64 shaped_fraction(Random& r, int bits) {
  const u64 mask = bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
  u64 v = r.next();
  switch (r.below(6)) {
    case 0:
      v = u64{1} << r.below(64);
      break;
    case 1:
      v = ~u64{0} << r.below(64);
      break;
    case 2:
      v = (u64{1} << r.below(64)) - 1;
      break;
    case 3:
      v = v << r.below(64);
      break;
    case 4:
      v = (u64{1} << r.below(64)) ^ (u64{1} << r.below(64));
      break;
    default:
      break;
  }
  return v & mask;
}

template <class F>
typename F::Bits random_operand(Random& r) {
  constexpr unsigned kMax = (1u << F::exponent_bits) - 1;
  unsigned exponent = 0;
  switch (r.below(8)) {
    case 0:
      exponent = 0;
      break;
    case 1:
      exponent = kMax;
      break;
    case 2:
      exponent = 1 + r.below(3);
      break;
    case 3:
      exponent = kMax - 1 - r.below(3);
      break;
    case 4:
      exponent = r.below(kMax + 1);
      break;
    default:
      exponent = static_cast<unsigned>(F::bias - 70) + r.below(140);
      break;
  }
  const bool sign = (r.next() & 1) != 0;
  if constexpr (kIsX87<F>) {
    u64 significand = shaped_fraction(r, 64);
    // Mostly canonical; sometimes pseudo-denormals and unsupported encodings.
    if (r.below(16) != 0) significand = exponent == 0 ? significand & ~(u64{1} << 63) : significand | u64{1} << 63;
    return {significand, static_cast<u16>((sign ? 0x8000 : 0) | exponent)};
  } else {
    using Bits = typename F::Bits;
    return static_cast<Bits>((Bits{sign} << (F::precision - 1 + F::exponent_bits)) |
                             (Bits{exponent} << (F::precision - 1)) |
                             static_cast<Bits>(shaped_fraction(r, F::precision - 1)));
  }
}

// A second operand near the first one, so that cancellation and ties happen.
template <class F>
typename F::Bits related_operand(typename F::Bits a, Random& r) {
  if (r.below(3) != 0) return random_operand<F>(r);
  const int shift = static_cast<int>(r.below(140)) - 70;
  if constexpr (kIsX87<F>) {
    const int e = a.exponent() + shift;
    if (e < 1 || e > 0x7ffe) return random_operand<F>(r);
    return {shaped_fraction(r, 64) | u64{1} << 63, static_cast<u16>((r.next() & 0x8000) | static_cast<unsigned>(e))};
  } else {
    using Bits = typename F::Bits;
    const Bits moved = static_cast<Bits>(a + (static_cast<Bits>(static_cast<i64>(shift)) << (F::precision - 1)));
    return static_cast<Bits>(moved ^ static_cast<Bits>(r.below(4)) ^ (Bits{r.below(2)} << (sizeof(Bits) * 8 - 1)));
  }
}

// Every class of operand and its neighbours.
template <class F>
std::vector<typename F::Bits> corner_operands() {
  constexpr unsigned kMax = (1u << F::exponent_bits) - 1;
  const u64 top = u64{1} << 63;
  const u64 lsb = u64{1} << (64 - F::precision);
  std::vector<typename F::Bits> list;
  auto put = [&](unsigned exponent, u64 significand) {
    for (bool sign : {false, true}) list.push_back(assemble<F>(sign, exponent, significand));
  };
  put(0, 0);
  put(0, lsb);
  put(0, top - lsb);
  put(1, top);
  put(1, top | lsb);
  put(2, top);
  for (int e : {-F::precision - 1, -F::precision, -1, 0, 1, F::precision - 1, 31, 62, 63}) {
    put(static_cast<unsigned>(F::bias + e), top);
    put(static_cast<unsigned>(F::bias + e), top | lsb);
    put(static_cast<unsigned>(F::bias + e), ~u64{0});
  }
  put(static_cast<unsigned>(F::bias), top | top >> 1);
  put(kMax - 1, top);
  put(kMax - 1, ~u64{0});
  put(kMax, top);        // infinity
  put(kMax, top | lsb);  // signaling NaNs
  put(kMax, top | top >> 2);
  put(kMax, top | top >> 1);  // quiet NaNs
  put(kMax, top | top >> 1 | lsb * 5);
  if constexpr (kIsX87<F>) {
    put(0, top);  // pseudo-denormals
    put(0, ~u64{0});
    put(kMax, 0);  // pseudo-infinity, pseudo-NaN, unnormals
    put(kMax, 1);
    put(F::bias, 1);
    put(F::bias, 0);
  }
  return list;
}

}  // namespace rondo::fp::test
