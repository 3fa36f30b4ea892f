// Fields of the ACPI tables (ACPI Specification 6.4, chapter 5).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::acpi_tables {

inline constexpr u64 kHeaderBytes = 36;  // table 5.4
inline constexpr u64 kHeaderLength = 4;  // offset of the length
inline constexpr u64 kHeaderChecksum = 9;
inline constexpr u64 kHeaderCreator = 28;  // creator ID and revision: 8 bytes

// FADT flags (table 5.10).
inline constexpr u32 kWbinvd = 1u << 0;
inline constexpr u32 kProcC1 = 1u << 2;
inline constexpr u32 kNoSleepButton = 1u << 5;  // not as fixed hardware; the power button is (bit 4 clear)
inline constexpr u32 kNoRtcWake = 1u << 6;
inline constexpr u32 kTimer32 = 1u << 8;
inline constexpr u32 kResetRegister = 1u << 10;

// IA-PC boot architecture flags (table 5.11).
inline constexpr u16 kLegacyDevices = 1 << 0;
inline constexpr u16 kNoVga = 1 << 2;

inline constexpr u8 kProfileDesktop = 1;  // table 5.9
inline constexpr u16 kNoC2 = 101;         // latencies above 100 and 1000 us mean "not supported"
inline constexpr u16 kNoC3 = 1001;

// Generic address structure (table 5.1).
inline constexpr u8 kSystemIo = 1;
inline constexpr u8 kAccessByte = 1, kAccessWord = 2, kAccessDword = 3;

// MADT (table 5.19 and following).
inline constexpr u32 kPcatCompatible = 1u << 0;
inline constexpr u8 kMadtLocalApic = 0, kMadtIoApic = 1, kMadtOverride = 2, kMadtLocalNmi = 4;
inline constexpr u32 kProcessorEnabled = 1u << 0;
inline constexpr u16 kActiveHigh = 1, kLevelTriggered = 3 << 2;  // MPS INTI flags
inline constexpr u8 kAllProcessors = 0xff;
inline constexpr u8 kIsaBus = 0;

}  // namespace rondo::devices::acpi_tables
