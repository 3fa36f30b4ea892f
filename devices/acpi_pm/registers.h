// ACPI fixed hardware (ACPI Specification 6.4, 4.8.3): one block of 12 ports.
#pragma once

#include "core/base/types.h"

namespace rondo::devices::acpi {

inline constexpr u64 kPm1Status = 0;   // 2 bytes, write 1 to clear
inline constexpr u64 kPm1Enable = 2;   // 2 bytes
inline constexpr u64 kPm1Control = 4;  // 2 bytes
inline constexpr u64 kPmTimer = 8;     // 4 bytes, read-only
inline constexpr u64 kPorts = 12;

// PM1 status and enable (tables 4.16 and 4.17).
inline constexpr u16 kTimerEvent = 1 << 0;
inline constexpr u16 kBusMaster = 1 << 4;
inline constexpr u16 kGlobalLock = 1 << 5;
inline constexpr u16 kPowerButton = 1 << 8;
inline constexpr u16 kRtcAlarm = 1 << 10;
inline constexpr u16 kStatusMask = kTimerEvent | kGlobalLock | kPowerButton | kRtcAlarm;
inline constexpr u16 kEnableMask = kTimerEvent | kGlobalLock | kPowerButton | kRtcAlarm;

// PM1 control (table 4.18).
inline constexpr u16 kSciEnable = 1 << 0;
inline constexpr u16 kBusMasterReload = 1 << 1;
inline constexpr unsigned kSleepTypeShift = 10;
inline constexpr u16 kSleepType = 7 << kSleepTypeShift;
inline constexpr u16 kSleepEnable = 1 << 13;
inline constexpr u16 kControlKept = kBusMasterReload | kSleepType;

inline constexpr u8 kSleepTypeS5 = 5;  // \_S5 in acpi_tables/dsdt.asl says the same

inline constexpr u64 kTimerHz = 3'579'545;
inline constexpr unsigned kTimerBits = 32;

}  // namespace rondo::devices::acpi
