// Looks into guest memory through the guest's page tables, as a debugger does: sets no Accessed bit, raises no fault,
// touches no device.
#pragma once

#include <optional>
#include <span>

#include "core/cpu/state.h"
#include "core/memory/physical_memory.h"

namespace rondo {

// The translation that a supervisor read would use, whatever the access rights; nothing if the page is not present (SDM
// 3A 4.3 to 4.5).
std::optional<GuestPhys> translate(const CpuState& cpu, const PhysicalMemory& memory, GuestLinear address);

// Copies bytes from linear addresses up to the first one that is not mapped RAM; returns how many. Addresses wrap as
// they do for the vCPU.
u64 read_linear(const CpuState& cpu, const PhysicalMemory& memory, GuestLinear address, std::span<u8> out);

}  // namespace rondo
