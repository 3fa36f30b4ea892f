// Debug registers: matching of breakpoints (SDM 3B 17.2).
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

// The DR6 bits (B0..B3) that an event sets if a breakpoint is enabled for it; zero: no #DB. As on the processor, every
// breakpoint whose address matches shows in DR6, enabled or not, once one of them is enabled (SDM 3B 17.2.3).
u64 debug_instruction_match(const Vcpu& cpu, u64 rip);
u64 debug_data_match(const Vcpu& cpu, u64 linear, unsigned size, bool write);
// With CR4.DE.
u64 debug_io_match(const Vcpu& cpu, u16 port, unsigned size);

}  // namespace rondo::software
