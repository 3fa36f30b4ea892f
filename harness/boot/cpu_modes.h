// The vCPU states in which boot protocols start a kernel, with the tables in memory that they need.
#pragma once

#include "core/cpu/state.h"
#include "core/memory/physical_memory.h"
#include "harness/boot/placement.h"

namespace rondo::boot {

// 64-bit mode, flat segments __BOOT_CS (0x10) and __BOOT_DS (0x18), the first 4 GB mapped one to one, interrupts off.
Result<CpuState> enter_long_mode(PhysicalMemory& memory, Placement& placement, u64 entry);
// 32-bit protected mode without paging, flat segments 0x10 and 0x18, interrupts off.
Result<CpuState> enter_protected_mode(PhysicalMemory& memory, Placement& placement, u32 entry);

}  // namespace rondo::boot
