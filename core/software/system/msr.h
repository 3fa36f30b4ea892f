// Model-specific registers of rondo-v1 (docs/cpu-model.md, SDM 4).
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

// False: RDMSR or WRMSR raises #GP(0). The clock is at the instruction's Moment.
bool read_msr(Vcpu& cpu, u32 index, u64& value);
bool write_msr(Vcpu& cpu, u32 index, u64 value);

}  // namespace rondo::software
