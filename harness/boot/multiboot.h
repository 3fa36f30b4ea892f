// Multiboot 1 kernels (Multiboot Specification version 0.6.96): small bare-metal programs and test kernels.
#pragma once

#include <optional>

#include "harness/boot/boot.h"

namespace rondo::boot {

// The offset of the multiboot header, if there is one.
std::optional<u64> find_multiboot_header(std::span<const u8> kernel);
// ELF32, ELF64 whose entry point is 32-bit code below 4 GB, or any file with the address fields (flag bit 16).
Result<BootedImage> load_multiboot(const BootRequest& request, PhysicalMemory& memory, Placement& placement);

}  // namespace rondo::boot
