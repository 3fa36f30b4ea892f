// Linux kernels by the 64-bit boot protocol (Documentation/x86/boot.rst).
#pragma once

#include "harness/boot/boot.h"

namespace rondo::boot {

// Whether `kernel` has the setup header of a bzImage.
bool looks_like_bzimage(std::span<const u8> kernel);
Result<BootedImage> load_bzimage(const BootRequest& request, PhysicalMemory& memory, Placement& placement);
// An uncompressed kernel as the kernel's build leaves it, stripped or not.
Result<BootedImage> load_vmlinux(const BootRequest& request, PhysicalMemory& memory, Placement& placement);

}  // namespace rondo::boot
