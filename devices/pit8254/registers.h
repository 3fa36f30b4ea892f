// The 8254 programmable interval timer (Intel 8254 data sheet, order number 231164) and the PC's system control port B.
#pragma once

#include "core/base/types.h"

namespace rondo::devices::pit {

inline constexpr u64 kHz = 1'193'182;
inline constexpr unsigned kChannels = 3;
inline constexpr u64 kControlPort = 3;

// Control word: channel 7:6, access 5:4, mode 3:1, BCD 0.
inline constexpr u8 kReadBack = 3;  // in the channel field
enum class Access : u8 { latch = 0, low = 1, high = 2, low_high = 3 };

// Read-back command: the first two are active low.
inline constexpr u8 kReadBackNoCount = 0x20;
inline constexpr u8 kReadBackNoStatus = 0x10;

// Status byte.
inline constexpr u8 kStatusOut = 0x80;
inline constexpr u8 kStatusNullCount = 0x40;

// System control port B (0x61).
inline constexpr u8 kGate2 = 0x01;
inline constexpr u8 kSpeaker = 0x02;
inline constexpr u8 kPortBWritable = 0x0f;
inline constexpr u8 kRefreshToggle = 0x10;
inline constexpr u8 kOut2 = 0x20;
inline constexpr u64 kRefreshTicks = 18;  // channel 1's period on a PC: about 15 microseconds

}  // namespace rondo::devices::pit
