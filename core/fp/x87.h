// x87 operations that exist in double extended precision only (SDM 1, 8.3). All raise the flags the hardware raises;
// what unmasked exceptions do is the caller's business.
#pragma once

#include "core/fp/format.h"

namespace rondo::fp {

struct PartialRemainder {
  Ext80 value;
  bool partial = false;  // C2: the reduction is incomplete
  u8 quotient = 0;       // low three bits of the quotient (Q2 -> C0, Q1 -> C3, Q0 -> C1); 0 if partial
};
// FPREM truncates the quotient, FPREM1 (`nearest`) rounds it to nearest, ties to even. For exponent distances D >= 64
// one step reduces the exponent by N = 32 + D mod 32, which is what the hardware does (SDM leaves 32..63 open).
PartialRemainder remainder(const Unpacked& a, const Unpacked& b, bool nearest, Context& context);

// FSCALE: a * 2^trunc(b).
Ext80 scale(const Unpacked& a, const Unpacked& b, Context& context);

struct Extracted {
  Ext80 exponent;
  Ext80 significand;
};
Extracted extract(const Unpacked& a, Context& context);

// FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2 are rounded to the 64-bit significand as RC says; no flags.
enum class Constant : u8 { one, log2_10, log2_e, pi, log10_2, ln_2, zero };
Ext80 constant(Constant which, Rounding rounding);

// FXAM's condition codes C3, C2, C0 as bits 2..0 (SDM 2, FXAM), for a register that is not empty. C1 is the sign.
u8 examine(Ext80 value);

}  // namespace rondo::fp
