// What 66, F2 and F3 mean in front of an opcode: an operand size, a repeat, a part of the opcode, or nothing.
#pragma once

#include <cstdint>
#include <span>

#include "decoder/prefixes.h"

namespace rondo::decoder {

// The prefixes as MC shall see them.
struct RolePrefixes {
  bool defined = true;  // false: this opcode with these mandatory prefixes is undefined (#UD)
  bool operand_size = false;
  bool address_size = false;
  std::uint8_t repeat = 0;
  bool drop_rex_w = false;
};

// `code` starts at the opcode. 16-bit code is read as 32-bit code with both size prefixes inverted, so that MC's 16-bit
// mode is never used: it does not know mandatory 66 prefixes.
RolePrefixes assign_roles(const Prefixes& prefixes, std::span<const std::uint8_t> code, CodeMode mode);

bool is_string_opcode(std::uint8_t opcode);

}  // namespace rondo::decoder
