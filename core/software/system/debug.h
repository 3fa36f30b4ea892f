// Breakpoints in the debug registers (SDM 3B 17.2).
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

// The B0..B3 bits of DR6 for the enabled breakpoints that match; zero if none does.
u64 debug_instruction_match(const Vcpu& cpu, u64 rip);                               // at CS:rip
u64 debug_data_match(const Vcpu& cpu, u64 linear, unsigned size, bool write);
u64 debug_io_match(const Vcpu& cpu, u16 port, unsigned size);                        // only with CR4.DE

}  // namespace rondo::software
