// One decoded instruction to one Op.
#pragma once

#include "core/software/ops/lower.h"

namespace rondo::software {

// Fills `op` (length, next_offset, operands, handler) for an instruction that starts `offset` bytes after its block's start. Never fails: what has no form
// becomes an Op that raises #UD.
void lower_instruction(const Instruction& instruction, unsigned offset, Op& op, LowerContext& context);
// The Op for bytes that are no instruction: raises #UD, or #GP(0) if they are too long.
void lower_invalid(bool too_long, Op& op);
// The Op that joins a block to the code after it, `bytes` from its start.
void lower_fall_through(bool code64, unsigned bytes, Op& op, const LowerContext& context);
// Begins a block where a breakpoint may be: counts as nothing.
void lower_guard(Op& op);
// Ends a single step: leaves at the next instruction.
void lower_stop(unsigned bytes, Op& op);

}  // namespace rondo::software
