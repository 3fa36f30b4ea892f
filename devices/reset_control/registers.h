// The reset control register (Intel ICH9, 13.7.5 RST_CNT; first in the Intel 82371SB).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::reset_control {

inline constexpr u8 kSystemReset = 0x02;  // the kind of reset: all but memory
inline constexpr u8 kResetCpu = 0x04;     // 0 -> 1 starts the reset
inline constexpr u8 kFullReset = 0x08;    // power cycle
inline constexpr u8 kWritable = 0x0e;
inline constexpr u8 kAcpiResetValue = kSystemReset | kResetCpu;

}  // namespace rondo::devices::reset_control
