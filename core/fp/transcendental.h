// F2XM1, FYL2X, FYL2XP1, FSIN, FCOS, FSINCOS, FPTAN, FPATAN (SDM 1, 8.3.7), computed in our own 128-bit arithmetic so
// that no result depends on a host's libm.
//
// Profile. Results are the true value rounded once as RC says, to 64 significand bits (PC does not act on them); the
// working precision of more than 110 bits makes that correct rounding but for arguments within 2^-46 ulp of a rounding
// boundary. SDM promises 1 ulp; silicon differs from the correctly rounded result in a few cases per thousand, and
// vendors differ from each other there. FSIN and relatives reduce their argument with the hardware's 66-bit pi
// (0x3.243F6A8885A308D3), as SDM 1, 8.3.8 documents, and leave |x| >= 2^63 alone (C2). Where
// the manual leaves the result undefined (F2XM1 of |x| > 1, FYL2XP1 of x <= -1) it is x with #P, as on the silicon.
#pragma once

#include "core/fp/format.h"

namespace rondo::fp {

Ext80 f2xm1(const Unpacked& x, Context& context);
Ext80 fyl2x(const Unpacked& y, const Unpacked& x, Context& context);    // y * log2(x)
Ext80 fyl2xp1(const Unpacked& y, const Unpacked& x, Context& context);  // y * log2(x + 1)
Ext80 fpatan(const Unpacked& y, const Unpacked& x, Context& context);   // the angle of the point (x, y)

// FSIN, FCOS, FPTAN and FSINCOS set C2 and leave the stack alone for such an operand.
inline bool trigonometric_out_of_range(const Unpacked& x) { return x.kind == Class::finite && x.exponent >= 63; }

// The operand must be in range.
Ext80 fsin(const Unpacked& x, Context& context);
Ext80 fcos(const Unpacked& x, Context& context);
Ext80 fptan(const Unpacked& x, Context& context);
struct SinCos {
  Ext80 sin;
  Ext80 cos;
};
SinCos fsincos(const Unpacked& x, Context& context);

}  // namespace rondo::fp
