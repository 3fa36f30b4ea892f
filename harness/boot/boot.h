// Puts a kernel, its initrd and its command line into guest memory and gives the vCPU state in which it starts.
//
// Three kinds of images: Linux bzImage, Linux ELF vmlinux (both by the 64-bit boot protocol,
// Documentation/x86/boot.rst) and multiboot 1. docs/boot.md has the memory layout. Nothing in an image is trusted.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "core/base/result.h"
#include "core/cpu/state.h"
#include "core/memory/physical_memory.h"
#include "harness/boot/elf.h"
#include "harness/boot/placement.h"

namespace rondo::boot {

struct BootRequest {
  std::span<const u8> kernel;
  std::span<const u8> initrd;  // empty: none. A multiboot kernel gets it as its first module
  std::string command_line;
  std::optional<GuestPhys> acpi_rsdp;
};

struct BootedImage {
  CpuState cpu;
  std::string kind;  // "bzImage (lz4)", "vmlinux", "multiboot", ...
  // Where the 64-bit code of a Linux kernel lies. Empty: the image does not say (no section headers, or it unpacks
  // itself), or it is another kind of image.
  std::vector<MemoryRange> text;
};

// `placement` holds what the board has taken already (ACPI tables). Errors name neither file: the caller knows it.
Result<BootedImage> load(const BootRequest& request, PhysicalMemory& memory, Placement& placement);

}  // namespace rondo::boot
