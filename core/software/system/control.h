// Control registers: what may be written, and what follows from it (SDM 3A 2.5, SDM 2 "MOV - Move to/from Control
// Registers").
#pragma once

#include "core/software/mode.h"
#include "core/software/vcpu.h"

namespace rondo::software {

u64 read_control(Vcpu& cpu, unsigned n);
// Throw #GP(0) with nothing changed, or change the mode.
void set_cr0(Vcpu& cpu, u64 value);
void set_cr3(Vcpu& cpu, u64 value);
void set_cr4(Vcpu& cpu, u64 value);
bool is_valid_cr3(const Vcpu& cpu, u64 value);

}  // namespace rondo::software
