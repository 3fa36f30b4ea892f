// Ticks of a fixed frequency on the virtual clock. Tick n is the first nanosecond at which n whole periods have passed.
#pragma once

#include "core/base/types.h"

namespace rondo::devices {

inline constexpr u64 kNsPerSecond = 1'000'000'000;

constexpr u64 ticks_at(u64 ns, u64 hz) { return static_cast<u64>(u128{ns} * hz / kNsPerSecond); }
constexpr u64 time_of_tick(u64 tick, u64 hz) { return static_cast<u64>((u128{tick} * kNsPerSecond + hz - 1) / hz); }

}  // namespace rondo::devices
