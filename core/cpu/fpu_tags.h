// The full x87 tag word (SDM 1 8.1.7): two bits a physical register, of which only "empty" is state; the rest follows
// from what the register holds.
#pragma once

#include "core/cpu/state.h"

namespace rondo {

// Valid 0, zero 1, special 2, empty 3.
inline u16 full_tag_word(const FpuState& fpu) {
  unsigned tags = 0;
  for (unsigned r = 0; r < 8; ++r) {
    unsigned tag = 3;
    if (fpu.valid >> r & 1) {
      const unsigned exponent = fpu.sign_exponent[r] & 0x7fff;
      const u64 significand = fpu.significand[r];
      const bool zero = exponent == 0 && significand == 0;
      const bool special = exponent == 0 || exponent == 0x7fff || significand >> 63 == 0;
      tag = zero ? 1 : special ? 2 : 0;
    }
    tags |= tag << (2 * r);
  }
  return static_cast<u16>(tags);
}

inline void set_full_tag_word(FpuState& fpu, u64 tags) {
  fpu.valid = 0;
  for (unsigned r = 0; r < 8; ++r) {
    if ((tags >> (2 * r) & 3) != 3) fpu.valid = static_cast<u8>(fpu.valid | 1 << r);
  }
}

}  // namespace rondo
