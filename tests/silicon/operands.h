// Operand values worth trying.
#pragma once

#include "tests/silicon/random.h"
#include "tests/silicon/test_case.h"

namespace rondo::silicon {

u64 interesting_integer(Random& random);
u32 interesting_f32(Random& random);
u64 interesting_f64(Random& random);
struct F80 {
  u64 significand;
  u16 sign_exponent;
};
F80 interesting_f80(Random& random);

// What a 16-byte granule holds. The data area repeats the kinds in this order, so that a memory operand can be placed
// on its kind.
enum class Kind : u8 { integer, f32, f64, f80 };
inline constexpr unsigned kKinds = 4;
inline constexpr unsigned kGranule = 16;
void fill_granule(Random& random, Kind kind, u8* out);
void fill_data(Random& random, DataImage& data);

// x87 registers and control, XMM registers (mostly of `kind`), MXCSR.
void fill_fx(Random& random, Kind kind, FxImage& fx);

}  // namespace rondo::silicon
