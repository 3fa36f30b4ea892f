// Bit scans and population count as pure functions (SDM 2A, 2B).
#pragma once

#include <bit>

#include "core/cpu/lazy_flags.h"

namespace rondo {

template <class T>
struct Scan {
  T value;  // only if found
  bool found;
  LazyFlags flags;  // ZF = source is zero; the others are undefined: PF of the index, the rest clear
                    // (docs/undefined-flags.md)
};

namespace detail {
template <class T>
Scan<T> scan_result(T source, unsigned index) {
  if (source == 0) return {0, false, {0, 0}};
  // ZF must be clear for index 0 too: keep the result nonzero and repair the parity.
  return {static_cast<T>(index), true, {index | 0x100, 0}};
}
}  // namespace detail

template <class T>
Scan<T> alu_bsf(T source) {
  return detail::scan_result(source, static_cast<unsigned>(std::countr_zero(source)));
}
template <class T>
Scan<T> alu_bsr(T source) {
  return detail::scan_result(source, static_cast<unsigned>(8 * sizeof(T) - 1 - std::countl_zero(source)));
}

// OF, SF, AF, CF and PF are cleared. Sums of neighbouring bits, then pairs, nibbles and bytes: std::popcount would be a
// call.
template <class T>
AluResult<T> alu_popcnt(T source) {
  u64 sums = source;
  sums -= sums >> 1 & 0x5555555555555555;
  sums = (sums & 0x3333333333333333) + (sums >> 2 & 0x3333333333333333);
  sums = (sums + (sums >> 4)) & 0x0f0f0f0f0f0f0f0f;
  const T n = static_cast<T>(sums * 0x0101010101010101 >> 56);
  return {n, {n ? u64{0x101} : u64{0}, n ? u64{0} : u64{0x100}}};
}

}  // namespace rondo
