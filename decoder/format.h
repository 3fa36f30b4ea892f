// Text of an instruction in Intel's syntax, for traces and messages.
#pragma once

#include <cstdint>
#include <string>

#include "decoder/instruction.h"

namespace rondo::decoder {

// `address` is that of the instruction's first byte: branch targets and RIP-relative operands are shown resolved
// ("jmp 0x401000", "[rel 0x402010]"), truncated to the instruction's operand or address size. "(bad)" for INVALID.
std::string format(const Instruction& instruction, std::uint64_t address);

// The mnemonic alone, lower case, without prefixes ("movsb", "jne", "iretq").
std::string mnemonic(const Instruction& instruction);

}  // namespace rondo::decoder
