// The setup header of a bzImage and the boot_params ("zero page") that a kernel is started with
// (Documentation/x86/boot.rst, zero-page.rst).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "harness/boot/placement.h"

namespace rondo::boot {

// The fields that the loader uses.
struct SetupHeader {
  u16 version = 0;
  u16 xloadflags = 0;
  u64 initrd_addr_max = 0;
  u64 kernel_alignment = 0;
  bool relocatable = false;
  u64 cmdline_size = 0;                        // without the terminating zero
  u64 payload_offset = 0, payload_length = 0;  // in the protected-mode part
  u64 pref_address = 0;
  u64 init_size = 0;              // memory needed from the load address on until the kernel has its own memory map
  u64 protected_mode_offset = 0;  // in the file
  std::vector<u8> raw;            // as it goes into boot_params at kSetupHeaderOffset
};

inline constexpr u64 kSetupHeaderOffset = 0x1f1;

// Needs boot protocol 2.12 (Linux 3.8) with a 64-bit entry point.
Result<SetupHeader> parse_setup_header(std::span<const u8> kernel);
// For a vmlinux, which has none.
SetupHeader synthetic_setup_header();

struct BootParams {
  explicit BootParams(const SetupHeader& h) : header(h) {}
  const SetupHeader& header;
  u64 command_line = 0;
  u64 initrd_start = 0, initrd_size = 0;
  std::optional<GuestPhys> acpi_rsdp;
  std::vector<Region> memory_map;
};

Result<std::array<u8, 4096>> make_boot_params(const BootParams& params);

}  // namespace rondo::boot
