// Floating-point formats (SDM 1, 4.2 and 8.2), the state an operation depends on, and unpacked operands.
//
// Everything in core/fp is a pure function of its arguments: integer arithmetic only, no host FPU state, no libm.
// (core/fp/fast.h may use the host's IEEE operators where they provably give the same bits.)
// One implementation serves all formats: unpack -> operate -> round and pack.
#pragma once

#include <bit>

#include "core/base/types.h"

namespace rondo::fp {

// The encoding of MXCSR.RC and of the x87 control word's RC.
enum class Rounding : u8 { nearest = 0, down = 1, up = 2, zero = 3 };

// Exception flags in the bit order of MXCSR and of the x87 status word.
inline constexpr u8 kInvalid = 0x01;
inline constexpr u8 kDenormal = 0x02;
inline constexpr u8 kDivideByZero = 0x04;
inline constexpr u8 kOverflow = 0x08;
inline constexpr u8 kUnderflow = 0x10;
inline constexpr u8 kInexact = 0x20;
// Detected before the operation is carried out: if one of them is unmasked there is no result, and the flags that
// would depend on the result are not set (SDM 1, 4.9.1.1, 11.5.2).
inline constexpr u8 kPreComputation = kInvalid | kDenormal | kDivideByZero;

// What an operation depends on besides its operands, and what it reports besides its result.
struct Context {
  Rounding rounding = Rounding::nearest;
  u8 precision = 64;        // x87 precision control: significand bits (24, 53, 64) of add, sub, mul, div and sqrt
  bool ftz = false;         // MXCSR.FZ (acts only while underflow is masked)
  bool daz = false;         // MXCSR.DAZ
  u8 masked = 0x3f;         // exceptions that are masked: decides how over- and underflow are delivered
  u8 flags = 0;             // out: flags raised, accumulated over operations
  bool rounded_up = false;  // out: the last rounding went away from zero (x87 C1)

  void raise(u8 mask) { flags |= mask; }
  u8 unmasked() const { return flags & static_cast<u8>(~masked); }
  // The flags that become visible: see kPreComputation.
  u8 visible_flags() const { return unmasked() & kPreComputation ? flags & kPreComputation : flags; }
};

// MXCSR (SDM 1, 10.2.3): flags 0-5, DAZ 6, masks 7-12, RC 13-14, FZ 15.
inline Context sse_context(u32 mxcsr) {
  Context c;
  c.rounding = static_cast<Rounding>(mxcsr >> 13 & 3);
  c.ftz = (mxcsr & 0x8000) != 0;
  c.daz = (mxcsr & 0x0040) != 0;
  c.masked = static_cast<u8>(mxcsr >> 7 & 0x3f);
  return c;
}

// x87 control word (SDM 1, 8.1.5): masks 0-5, PC 8-9 (0: 24 bits, 2: 53, 3: 64, 1: reserved, acts as 64), RC 10-11.
inline Context x87_context(u16 control) {
  Context c;
  c.rounding = static_cast<Rounding>(control >> 10 & 3);
  const unsigned pc = control >> 8 & 3;
  c.precision = pc == 0 ? 24 : pc == 2 ? 53 : 64;
  c.masked = control & 0x3f;
  return c;
}

// Double extended precision: an explicit integer bit 63 in the significand.
struct Ext80 {
  u64 significand = 0;
  u16 sign_exponent = 0;
  constexpr bool operator==(const Ext80&) const = default;
  constexpr bool sign() const { return sign_exponent >> 15 != 0; }
  constexpr u16 exponent() const { return sign_exponent & 0x7fff; }
};

struct Binary32 {
  using Bits = u32;
  static constexpr int precision = 24, exponent_bits = 8, bias = 127, emin = -126, emax = 127;
};
struct Binary64 {
  using Bits = u64;
  static constexpr int precision = 53, exponent_bits = 11, bias = 1023, emin = -1022, emax = 1023;
};
struct Extended80 {
  using Bits = Ext80;
  static constexpr int precision = 64, exponent_bits = 15, bias = 16383, emin = -16382, emax = 16383;
};
template <class F>
inline constexpr bool kIsX87 = F::precision == 64;

enum class Class : u8 { zero, finite, infinity, quiet_nan, signaling_nan, unsupported };

// A value, independent of the format it came from.
struct Unpacked {
  Class kind = Class::zero;
  bool sign = false;
  bool denormal = false;  // a denormal (or pseudo-denormal) operand that DAZ did not flush
  i32 exponent = 0;       // finite: value = significand * 2^(exponent - 63)
  u64 significand = 0;    // finite: bit 63 set. NaN: bit 63 set, bit 62 tells quiet, payload below, left-aligned
  bool is_nan() const { return kind == Class::quiet_nan || kind == Class::signaling_nan; }
};

template <class F>
constexpr bool sign_of(typename F::Bits bits) {
  if constexpr (kIsX87<F>) {
    return bits.sign();
  } else {
    return bits >> (F::precision - 1 + F::exponent_bits) != 0;
  }
}

// Biased exponent and significand with explicit integer bit at bit 63 -> bits. The integer bit of binary32/64 is
// implied by the exponent.
template <class F>
constexpr typename F::Bits assemble(bool sign, unsigned biased_exponent, u64 significand) {
  if constexpr (kIsX87<F>) {
    return Ext80{significand, static_cast<u16>((sign ? 0x8000u : 0u) | biased_exponent)};
  } else {
    using Bits = typename F::Bits;
    const Bits fraction = static_cast<Bits>((significand & ~(u64{1} << 63)) >> (64 - F::precision));
    return (Bits{sign} << (F::precision - 1 + F::exponent_bits)) | (Bits{biased_exponent} << (F::precision - 1)) |
           fraction;
  }
}

// Decodes an operand; `daz` treats denormals as zeros of the same sign (binary32/64 only).
template <class F>
constexpr Unpacked unpack(typename F::Bits bits, bool daz = false) {
  constexpr unsigned kMaxExponent = (1u << F::exponent_bits) - 1;
  Unpacked u;
  u.sign = sign_of<F>(bits);
  unsigned biased = 0;
  u64 significand = 0;  // bit 63: integer bit
  bool unsupported = false;
  if constexpr (kIsX87<F>) {
    biased = bits.exponent();
    significand = bits.significand;
    unsupported = biased != 0 && significand >> 63 == 0;  // unnormal, pseudo-infinity, pseudo-NaN (SDM 1, 8.2.2)
  } else {
    biased = static_cast<unsigned>(bits >> (F::precision - 1)) & kMaxExponent;
    significand = u64{bits} << (64 - F::precision) & ~(u64{1} << 63);
    if (biased != 0) significand |= u64{1} << 63;
  }
  if (unsupported) {
    u.kind = Class::unsupported;
  } else if (biased == kMaxExponent) {
    const u64 payload = significand << 1;
    u.kind = payload == 0 ? Class::infinity : payload >> 63 ? Class::quiet_nan : Class::signaling_nan;
    u.significand = significand;
  } else if (significand == 0) {
    u.kind = Class::zero;
  } else if (biased == 0) {
    if (daz) return u;
    const int shift = std::countl_zero(significand);
    u.kind = Class::finite;
    u.denormal = true;
    u.exponent = F::emin - shift;
    u.significand = significand << shift;
  } else {
    u.kind = Class::finite;
    u.exponent = static_cast<i32>(biased) - F::bias;
    u.significand = significand;
  }
  return u;
}

template <class F>
Unpacked unpack(typename F::Bits bits, const Context& context) {
  return unpack<F>(bits, kIsX87<F> ? false : context.daz);
}

template <class F>
constexpr typename F::Bits zero(bool sign) {
  return assemble<F>(sign, 0, 0);
}
template <class F>
constexpr typename F::Bits infinity(bool sign) {
  return assemble<F>(sign, (1u << F::exponent_bits) - 1, u64{1} << 63);
}
// "Real indefinite" (SDM 1, 4.2.2 table 4-3).
template <class F>
constexpr typename F::Bits default_nan() {
  return assemble<F>(true, (1u << F::exponent_bits) - 1, u64{3} << 62);
}
// A NaN operand made quiet, its payload cut to the format.
template <class F>
constexpr typename F::Bits quiet_nan(const Unpacked& nan) {
  return assemble<F>(nan.sign, (1u << F::exponent_bits) - 1, nan.significand | u64{3} << 62);
}

// The result when at least one operand is a NaN or unsupported (SDM 1, 4.8.3.5 table 4-7). Raises #I for signaling
// NaNs and unsupported encodings. x87 formats: the larger significand wins; SSE: the first NaN operand wins.
template <class F>
typename F::Bits propagate_nan(const Unpacked& a, const Unpacked& b, Context& context);
// The same for one operand.
template <class F>
typename F::Bits propagate_nan(const Unpacked& a, Context& context);

}  // namespace rondo::fp
