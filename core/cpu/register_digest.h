// A quick digest of RIP and the general registers: tells almost all points of an execution apart that another test
// then tells apart for good.
#pragma once

#include "core/base/types.h"

namespace rondo {

// gpr: 16 registers in the order of core/cpu/state.h.
inline u64 register_digest(u64 rip, const u64* gpr) {
  constexpr u64 kOdd = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  u64 digest = rip * kOdd;
  for (unsigned i = 0; i < 16; ++i) {
    digest = (digest ^ gpr[i]) * kOdd;
    digest ^= digest >> 32;
  }
  return digest;
}

}  // namespace rondo
