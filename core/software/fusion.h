// Pairs of instructions that one handler executes.
#pragma once

#include "core/software/ops/lower.h"

namespace rondo::software {

// Gives `first` a handler that also does the conditional branch in the Op behind it, if there is one for this pair. The pair still counts as two
// instructions, keeps both Ops, and falls back to them one by one on a slow path. Only 64-bit code.
void fuse_with_branch(const Instruction& instruction, Op& first, const Instruction& branch, bool successors_in_page);

}  // namespace rondo::software
