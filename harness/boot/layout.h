// Where the loaders put their own structures: low memory that no kernel image uses.
#pragma once

#include "core/memory/physical_memory.h"

namespace rondo::boot {

inline constexpr GuestPhys kBootParams{0x10000};  // Linux: the zero page. Multiboot: the information structure
inline constexpr u64 kBootParamsSize = 0x1000;
inline constexpr GuestPhys kBootGdt{0x11000};
inline constexpr u64 kBootGdtSize = 0x1000;
inline constexpr GuestPhys kBootPageTables{0x12000};  // PML4, PDPT, four page directories: 4 GB in 2 MB pages
inline constexpr u64 kBootPageTablesSize = 6 * kPageSize;
inline constexpr GuestPhys kCommandLine{0x20000};
inline constexpr u64 kCommandLineRoom = 0x10000;
inline constexpr GuestPhys kBootStackTop{0x10000};  // grows down; kernels bring their own

}  // namespace rondo::boot
