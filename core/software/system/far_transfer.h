// Far jumps, calls and returns, and IRET: through code segments, gates and tasks (SDM 3A 5.8, SDM 2 JMP, CALL, RET,
// IRET). They set Vcpu::next_rip and throw with nothing changed.
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

struct FarPointer {
  u16 selector = 0;
  u64 offset = 0;
};

void far_jump(Vcpu& cpu, const Op& op, FarPointer target, unsigned operand_bytes);
void far_call(Vcpu& cpu, const Op& op, FarPointer target, unsigned operand_bytes);
void far_return(Vcpu& cpu, const Op& op, unsigned operand_bytes, u64 extra_bytes);
void interrupt_return(Vcpu& cpu, const Op& op, unsigned operand_bytes);

}  // namespace rondo::software
