// What one event may hold at most; the same for the writer, which refuses more, and the reader, which calls it damage.
#pragma once

#include "core/base/types.h"

namespace rondo::replay {

inline constexpr u64 kMaxReasonBytes = 4096;  // of an End
inline constexpr u64 kMaxNameBytes = 256;     // of a component
inline constexpr u64 kMaxRemarkBytes = 4096;
inline constexpr u64 kMaxHashedComponents = 1024;  // of a StateHash

}  // namespace rondo::replay
