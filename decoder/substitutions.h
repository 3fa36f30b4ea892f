// Encodings that the processor executes and LLVM MC rejects or reads otherwise: each is rewritten, before MC sees it,
// into one of the same length and operands that MC accepts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "decoder/instruction.h"

namespace rondo::decoder {

struct Substitution {
  Operation operation = Operation::INVALID;  // what it really is; INVALID: what MC says
  bool plain_memory = true;                  // false: the memory operand gets size 0
};

// `code` starts at the opcode (after all prefixes) and may be cut short.
std::optional<Substitution> substitute(std::span<std::uint8_t> code, CodeMode mode);

}  // namespace rondo::decoder
