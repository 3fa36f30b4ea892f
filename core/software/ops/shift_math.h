// Shifts and rotates as pure functions (SDM 2B: SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
//
// `count` is already masked to 5 bits (6 for 64-bit operands) and is not zero: a masked count of zero changes neither
// flags nor value. Flags that the manual leaves undefined follow docs/undefined-flags.md: what AMD Zen does.
#pragma once

#include "core/cpu/lazy_flags.h"

namespace rondo {

template <class T>
inline constexpr unsigned kWidth = 8 * sizeof(T);
template <class T>
inline constexpr unsigned kCountMask = sizeof(T) == 8 ? 63 : 31;

namespace detail {
// SF, ZF and PF of the result, CF and OF as given, AF set.
template <class T>
constexpr LazyFlags shift_flags(T r, u64 cf, u64 of) {
  return {sign_extend(r), cf << 63 | (cf ^ of) << 62 | 8};
}
template <class T>
constexpr u64 top_bit(T v) {
  return static_cast<u64>(v) >> (kWidth<T> - 1) & 1;
}
// Rotates leave the other four flags.
constexpr LazyFlags rotate_flags(LazyFlags before, u64 cf, u64 of) {
  return {before.result, (before.aux & ~(u64{3} << 62)) | cf << 63 | (cf ^ of) << 62};
}
}  // namespace detail

// OF = CF ^ top bit of the result, for every count.
template <class T>
constexpr AluResult<T> alu_shl(T a, unsigned count) {
  T r;
  u64 cf;
  if constexpr (sizeof(T) == 8) {
    r = a << count;
    cf = a >> (64 - count) & 1;
  } else {
    const u64 wide = static_cast<u64>(a) << count;
    r = static_cast<T>(wide);
    cf = wide >> kWidth<T> & 1;
  }
  return {r, detail::shift_flags(r, cf, cf ^ detail::top_bit(r))};
}

// OF = the two top bits of the result differ: for a count of 1 that is the top bit of the operand.
template <class T>
constexpr AluResult<T> alu_shr(T a, unsigned count) {
  const u64 wide = a;
  const T r = static_cast<T>(wide >> count);
  const u64 cf = wide >> (count - 1) & 1;
  return {r, detail::shift_flags(r, cf, detail::top_bit(r) ^ (static_cast<u64>(r) >> (kWidth<T> - 2) & 1))};
}

template <class T>
constexpr AluResult<T> alu_sar(T a, unsigned count) {
  const i64 wide = static_cast<i64>(detail::sign_extend(a));
  const T r = static_cast<T>(wide >> count);
  return {r, detail::shift_flags(r, static_cast<u64>(wide >> (count - 1)) & 1, 0)};
}

// The 8- and 16-bit rotates take the count modulo the width, but set CF and OF even if that is zero.
template <class T>
constexpr AluResult<T> alu_rol(T a, unsigned count, LazyFlags before) {
  const unsigned n = count % kWidth<T>;
  const T r = n ? static_cast<T>(a << n | a >> (kWidth<T> - n)) : a;
  const u64 cf = r & 1;
  return {r, detail::rotate_flags(before, cf, cf ^ detail::top_bit(r))};
}

template <class T>
constexpr AluResult<T> alu_ror(T a, unsigned count, LazyFlags before) {
  const unsigned n = count % kWidth<T>;
  const T r = n ? static_cast<T>(a >> n | a << (kWidth<T> - n)) : a;
  const u64 cf = detail::top_bit(r);
  return {r, detail::rotate_flags(before, cf, cf ^ (static_cast<u64>(r) >> (kWidth<T> - 2) & 1))};
}

// Through carry: a rotate of width + 1 bits. A count that is a multiple of that changes nothing but OF.
template <class T>
constexpr AluResult<T> alu_rcl(T a, unsigned count, LazyFlags before) {
  constexpr unsigned kBits = kWidth<T> + 1;
  const unsigned n = count % kBits;
  const u128 wide = static_cast<u128>(before.aux >> 63) << kWidth<T> | a;
  const u128 turned = n ? wide << n | wide >> (kBits - n) : wide;
  const T r = static_cast<T>(turned);
  const u64 cf = static_cast<u64>(turned >> kWidth<T>) & 1;
  return {r, detail::rotate_flags(before, cf, cf ^ detail::top_bit(r))};
}

template <class T>
constexpr AluResult<T> alu_rcr(T a, unsigned count, LazyFlags before) {
  constexpr unsigned kBits = kWidth<T> + 1;
  const unsigned n = count % kBits;
  const u128 wide = static_cast<u128>(before.aux >> 63) << kWidth<T> | a;
  const u128 turned = n ? wide >> n | wide << (kBits - n) : wide;
  const T r = static_cast<T>(turned);
  const u64 cf = static_cast<u64>(turned >> kWidth<T>) & 1;
  return {r, detail::rotate_flags(before, cf, detail::top_bit(r) ^ (static_cast<u64>(r) >> (kWidth<T> - 2) & 1))};
}

// Shifts `fill` in from the right. 16-bit counts above 16 are undefined: the silicon shifts a:fill:fill. CF and OF are
// those of shifting `a` alone.
template <class T>
constexpr AluResult<T> alu_shld(T a, T fill, unsigned count) {
  T r;
  if constexpr (sizeof(T) == 2) {
    const u64 wide = static_cast<u64>(a) << 32 | static_cast<u64>(fill) << 16 | fill;
    r = static_cast<T>(wide << count >> 32);
  } else {
    r = a << count | fill >> (kWidth<T> - count);
  }
  LazyFlags f = alu_shl(a, count).flags;
  f.result = detail::sign_extend(r);
  return {r, f};
}

template <class T>
constexpr AluResult<T> alu_shrd(T a, T fill, unsigned count) {
  T r;
  if constexpr (sizeof(T) == 2) {
    const u64 wide = static_cast<u64>(fill) << 32 | static_cast<u64>(fill) << 16 | a;
    r = static_cast<T>(wide >> count);
  } else {
    r = a >> count | fill << (kWidth<T> - count);
  }
  const u64 cf = static_cast<u64>(a) >> (count - 1) & 1;
  return {r, detail::shift_flags(r, cf, detail::top_bit(r) ^ (static_cast<u64>(r) >> (kWidth<T> - 2) & 1))};
}

}  // namespace rondo
