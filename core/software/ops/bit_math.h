// Bit scans and population count as pure functions (SDM 2A, 2B).
#pragma once

#include "core/cpu/lazy_flags.h"

namespace rondo {

template <class T>
struct Scan {
  T value;          // only if found
  bool found;
  LazyFlags flags;  // ZF = source is zero; the others are undefined: PF of the index, the rest clear (docs/undefined-flags.md)
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

// OF, SF, AF, CF and PF are cleared.
template <class T>
AluResult<T> alu_popcnt(T source) {
  const T n = static_cast<T>(std::popcount(source));
  return {n, {n ? u64{0x101} : u64{0}, n ? u64{0} : u64{0x100}}};
}

}  // namespace rondo
