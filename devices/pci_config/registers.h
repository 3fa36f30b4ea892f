// PCI configuration mechanism #1 and the type 0 header (PCI Local Bus Specification 3.0, 3.2.2.3 and 6.1).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::pci {

inline constexpr u64 kAddressPort = 0;  // CONFIG_ADDRESS, 32-bit accesses only
inline constexpr u64 kResetPort = 1;    // 0xCF9, byte accesses
inline constexpr u64 kDataPort = 4;     // CONFIG_DATA, 8, 16 and 32 bits
inline constexpr u32 kEnable = 1u << 31;
inline constexpr u32 kAddressWritable = kEnable | 0x00fffffc;

inline constexpr unsigned kSlots = 32;
inline constexpr unsigned kFunctions = 8;
inline constexpr unsigned kConfigBytes = 256;

// Type 0 header.
inline constexpr u8 kVendor = 0x00;
inline constexpr u8 kDevice = 0x02;
inline constexpr u8 kCommand = 0x04;
inline constexpr u8 kRevision = 0x08;
inline constexpr u8 kSubclass = 0x0a;
inline constexpr u8 kClass = 0x0b;
inline constexpr u8 kSubsystemVendor = 0x2c;
inline constexpr u8 kSubsystem = 0x2e;

// A generic host bridge: an identity without quirks in any guest.
inline constexpr u16 kBridgeVendor = 0x1b36;
inline constexpr u16 kBridgeDevice = 0x0008;
inline constexpr u8 kClassBridge = 0x06;
inline constexpr u8 kSubclassHost = 0x00;

}  // namespace rondo::devices::pci
