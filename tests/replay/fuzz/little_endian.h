// Numbers in an input that a fuzzer repairs.
#pragma once

#include <vector>

#include "core/base/types.h"

namespace rondo::replay {

inline u64 load(const std::vector<u8>& bytes, u64 at, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(bytes[at + i]) << (8 * i);
  return value;
}

inline void store(std::vector<u8>& bytes, u64 at, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<u8>(value >> (8 * i));
}

}  // namespace rondo::replay
