// Registers of the I/O APIC (Intel 82093AA, section 3; the EOI register and version 0x20 as in Intel ICH9, 13.5).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::ioapic {

// The memory-mapped window.
inline constexpr u64 kSelect = 0x00;
inline constexpr u64 kWindow = 0x10;
inline constexpr u64 kEoi = 0x40;

// Indirect registers.
inline constexpr u8 kId = 0x00;
inline constexpr u8 kVersion = 0x01;
inline constexpr u8 kArbitration = 0x02;
inline constexpr u8 kFirstEntry = 0x10;

inline constexpr unsigned kPins = 24;
inline constexpr u32 kVersionValue = 0x20 | ((kPins - 1) << 16);
inline constexpr u32 kIdMask = 0x0f000000;
inline constexpr unsigned kIdShift = 24;

// Redirection table entry (3.2.4).
inline constexpr u64 kVectorMask = 0xff;
inline constexpr unsigned kModeShift = 8;
inline constexpr u64 kLogical = u64{1} << 11;
inline constexpr u64 kDelivering = u64{1} << 12;  // delivery status: delivery is immediate, so it always reads 0
inline constexpr u64 kRemoteIrr = u64{1} << 14;
inline constexpr u64 kLevel = u64{1} << 15;
inline constexpr u64 kMasked = u64{1} << 16;
inline constexpr unsigned kDestinationShift = 56;
inline constexpr u64 kWritable = 0xff0000000001afff;

}  // namespace rondo::devices::ioapic
