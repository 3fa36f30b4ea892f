// Canonical linear addresses of 48 bits (SDM 1 3.3.7.1).
#pragma once

#include "core/base/types.h"

namespace rondo {

inline bool is_canonical(u64 address) { return static_cast<u64>(static_cast<i64>(address << 16) >> 16) == address; }

}  // namespace rondo
