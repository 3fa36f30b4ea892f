// What is compared: which operations run natively, and which of their results the architecture leaves open.
#pragma once

#include <string_view>

#include "core/base/types.h"
#include "decoder/instruction.h"

namespace rondo::silicon {

// Why an instruction is not run natively; empty: it is.
std::string_view excluded(const decoder::Instruction& instruction);

// Flags that SDM volume 2 leaves undefined after this instruction, as a mask of RFLAGS. For shifts and rotates by CL the mask covers every count.
u64 undefined_flags(const decoder::Instruction& instruction);

// Whether undefined results of this instruction are left out of the comparison, so that no other instruction may consume them.
bool leaves_open(const decoder::Instruction& instruction, bool profile_host);

// The results differ between processors within a documented error (SDM 2, RCPPS and RSQRTPS; SDM 1 8.3.10, transcendentals).
bool approximate(decoder::Operation operation);

}  // namespace rondo::silicon
