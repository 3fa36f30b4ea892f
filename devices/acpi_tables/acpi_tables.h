// The platform's ACPI tables (ACPI Specification 6.4): RSDP, RSDT, XSDT, FADT, FACS, MADT and the DSDT compiled from
// dsdt.asl.
//
// They describe the board of devices/README.md with the addresses of wiring/platform_map.h. The boot code places the
// blobs in RAM and reserves the area in the memory map.
#pragma once

#include <vector>

#include "core/base/types.h"

namespace rondo::devices {

// The area scanned for an RSDP (5.2.5.1). Everything lies in it.
inline constexpr GuestPhys kAcpiAreaStart{0xe0000};
inline constexpr GuestPhys kAcpiAreaEnd{0x100000};
inline constexpr GuestPhys kAcpiRsdpAddress = kAcpiAreaStart;

struct GuestBlob {
  GuestPhys address;
  std::vector<u8> bytes;
};

struct AcpiTablesConfig {
  unsigned cpus = 1;  // local APIC IDs 0..cpus-1, at most 255
  u8 ioapic_id = 0;
};

// In address order, without overlaps, the RSDP first.
std::vector<GuestBlob> build_acpi_tables(const AcpiTablesConfig& config = {});

}  // namespace rondo::devices
