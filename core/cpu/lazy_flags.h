// The six arithmetic flags, kept as a result and a few bits instead of as RFLAGS.
//
//   result  the result, sign-extended to 64 bits      ZF = (result == 0)
//   aux     bit 63 carry out of the top bit           CF
//           bit 62 carry out of the bit below it      OF = bit 63 ^ bit 62
//           bit 3  carry out of bit 3                 AF
//           bits 15:8 parity delta                    PF = even parity of (result[7:0] ^ aux[15:8])
//           bit 0  sign delta                         SF = result[63] ^ aux[0]
//
// Storing costs two writes and a few logic operations; no reader needs to know which operation produced the flags or its width.
#pragma once

#include <type_traits>

#include "core/base/types.h"
#include "core/cpu/registers.h"

namespace rondo {

struct LazyFlags {
  u64 result = 1;
  u64 aux = 0x100;  // with result 1: all flags clear

  bool cf() const { return aux >> 63; }
  bool of() const { return ((aux >> 63) ^ (aux >> 62)) & 1; }
  bool af() const { return (aux >> 3) & 1; }
  bool zf() const { return result == 0; }
  bool sf() const { return (result >> 63) ^ (aux & 1); }
  bool pf() const {  // bit n of the constant: n has even parity. std::popcount would be a call
    const u64 byte = result ^ (aux >> 8);
    return (0x9669u >> ((byte ^ byte >> 4) & 15)) & 1;
  }

  // The arithmetic bits of RFLAGS; other bits are zero.
  u64 to_rflags() const {
    return (cf() ? flags::CF : 0) | (pf() ? flags::PF : 0) | (af() ? flags::AF : 0) | (zf() ? flags::ZF : 0) | (sf() ? flags::SF : 0) |
           (of() ? flags::OF : 0);
  }

  static LazyFlags from_rflags(u64 rflags) {
    const u64 cf = rflags & flags::CF ? 1 : 0, of = rflags & flags::OF ? 1 : 0, zf = rflags & flags::ZF ? 1 : 0;
    const u64 even = rflags & flags::PF ? 1 : 0;
    LazyFlags f;
    f.result = zf ^ 1;                       // low byte 0 (even parity) with ZF, else 1 (odd)
    const u64 delta = (f.result ^ even ^ 1) & 1;  // flips the parity where it differs from PF
    f.aux = cf << 63 | (cf ^ of) << 62 | (rflags & flags::AF ? 8 : 0) | delta << 8 | (rflags & flags::SF ? 1 : 0);
    return f;
  }

  // Without comparisons: g++ 12 -O3 compiles `if (bit != (aux >> 63)) aux ^= ...`, inlined behind a bit test, as if aux's bit were clear.
  void set_cf(bool cf) {  // keeps OF
    const u64 flip = (aux >> 63) ^ u64{cf};
    aux ^= flip << 63 | flip << 62;
  }
  void set_of(bool of) { aux ^= (((aux >> 63) ^ (aux >> 62) ^ u64{of}) & 1) << 62; }
  void set_cf_of(bool cf, bool of) {
    aux = (aux & ~(u64{3} << 62)) | u64{cf} << 63 | u64{cf != of} << 62;
  }
  void set_after_division() {  // AF set; PF, ZF, SF clear; CF and OF as they were (docs/undefined-flags.md)
    result = 1;
    aux = (aux & u64{3} << 62) | 8;
  }

  // Condition codes by the low four bits of their encoding (SDM 1 appendix B).
  template <unsigned Condition>
  bool test() const {
    static_assert(Condition < 16);
    bool value;
    if constexpr (Condition / 2 == 0) value = of();
    else if constexpr (Condition / 2 == 1) value = cf();
    else if constexpr (Condition / 2 == 2) value = zf();
    else if constexpr (Condition / 2 == 3) value = cf() || zf();
    else if constexpr (Condition / 2 == 4) value = sf();
    else if constexpr (Condition / 2 == 5) value = pf();
    else if constexpr (Condition / 2 == 6) value = sf() != of();
    else value = zf() || sf() != of();
    return value != static_cast<bool>(Condition & 1);
  }
};

template <class T>
struct AluResult {
  T value;
  LazyFlags flags;
};

namespace detail {
template <class T>
constexpr u64 sign_extend(T v) {
  return static_cast<u64>(static_cast<i64>(static_cast<std::make_signed_t<T>>(v)));
}
// Puts the carries out of the two top bits and of bit 3 where LazyFlags wants them.
template <class T>
constexpr u64 align_carries(T carries) {
  constexpr unsigned kShift = 64 - 8 * sizeof(T);
  return (static_cast<u64>(carries) << kShift & u64{3} << 62) | (static_cast<u64>(carries) & 8);
}
}  // namespace detail

// a + b + carry (carry is 0 or 1).
template <class T>
AluResult<T> alu_add(T a, T b, u64 carry = 0) {
  const T r = static_cast<T>(static_cast<u64>(a) + static_cast<u64>(b) + carry);
  const T carries = static_cast<T>((a & b) | ((a | b) & static_cast<T>(~r)));
  return {r, {detail::sign_extend(r), detail::align_carries(carries)}};
}

// a - b - borrow.
template <class T>
AluResult<T> alu_sub(T a, T b, u64 borrow = 0) {
  const T r = static_cast<T>(static_cast<u64>(a) - static_cast<u64>(b) - borrow);
  const T na = static_cast<T>(~a);
  const T borrows = static_cast<T>((na & b) | ((na | b) & r));
  return {r, {detail::sign_extend(r), detail::align_carries(borrows)}};
}

// AND, OR, XOR, TEST: CF = OF = 0; AF is undefined and cleared (the profile).
template <class T>
AluResult<T> alu_logic(T r) {
  return {r, {detail::sign_extend(r), 0}};
}

}  // namespace rondo
