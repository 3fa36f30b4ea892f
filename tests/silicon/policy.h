// What is compared: which operations run natively, and which of their results the architecture leaves open.
#pragma once

#include <string_view>

#include "core/base/types.h"
#include "decoder/instruction.h"

namespace rondo::silicon {

struct Comparison {
  bool profile_host = false;  // undefined flags are compared, so they may be consumed by the next instruction
  bool in_guests = false;     // with an engine instead of the processor: code may enter a kernel and load segments
};

// Why an instruction is not run; empty: it is.
std::string_view excluded(const decoder::Instruction& instruction, const Comparison& comparison);

// Flags that SDM volume 2 leaves undefined after this instruction, as a mask of RFLAGS. For shifts and rotates by CL
// the mask covers every count.
u64 undefined_flags(const decoder::Instruction& instruction);

// Whether an instruction may be part of a sequence: nothing that is left out of the comparison may be consumed by
// another instruction.
bool fits_sequences(const decoder::Instruction& instruction, const Comparison& comparison);

// Takes a selector from a register or from memory.
bool takes_selector(decoder::Operation operation);

// Loads a segment register, looks at a descriptor or tells where tables are: at CPL 3, some hosts' KVM answers with the
// host's own.
bool uses_descriptors(decoder::Operation operation);

// Reads or writes an image in pieces whose order is the processor's own: which of several possible faults it reports,
// and how much of the image it wrote before, is left out.
bool moves_image(decoder::Operation operation);

// The results differ between processors within a documented error (SDM 2, RCPPS and RSQRTPS; SDM 1 8.3.10,
// transcendentals).
bool approximate(decoder::Operation operation);

}  // namespace rondo::silicon
