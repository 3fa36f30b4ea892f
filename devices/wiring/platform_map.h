// Where the platform's devices sit and which interrupts they raise. Used by the board that maps them and by the ACPI
// tables that describe them; a device itself knows only offsets and lines.
#pragma once

#include "core/base/types.h"

namespace rondo::devices {

inline constexpr u64 kPicMasterPort = 0x20;
inline constexpr u64 kPicSlavePort = 0xa0;
inline constexpr u64 kPicElcrPort = 0x4d0;
inline constexpr u64 kPitPort = 0x40;
inline constexpr u64 kSystemControlPort = 0x61;
inline constexpr u64 kI8042DataPort = 0x60;
inline constexpr u64 kI8042CommandPort = 0x64;
inline constexpr u64 kRtcPort = 0x70;
inline constexpr u64 kPostCodePort = 0x80;
inline constexpr u64 kDebugExitPort = 0xf4;
inline constexpr u64 kCom1Port = 0x3f8;
inline constexpr u64 kCom2Port = 0x2f8;
inline constexpr u64 kPciConfigPort = 0xcf8;
inline constexpr u64 kResetControlPort = 0xcf9;  // inside the PCI configuration ports; see PciConfig
inline constexpr u64 kAcpiPmPort = 0x600;

inline constexpr u64 kIoApicAddress = 0xfec00000;
inline constexpr u64 kLocalApicAddress = 0xfee00000;

inline constexpr unsigned kIrqPit = 0;
inline constexpr unsigned kIrqCom2 = 3;
inline constexpr unsigned kIrqCom1 = 4;
inline constexpr unsigned kIrqRtc = 8;
inline constexpr unsigned kIrqSci = 9;
inline constexpr unsigned kGsiPit = 2;  // ISA IRQ0 arrives at I/O APIC pin 2; MADT says so

}  // namespace rondo::devices
