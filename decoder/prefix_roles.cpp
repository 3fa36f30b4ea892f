#include "decoder/prefix_roles.h"

#include <array>
#include <initializer_list>

namespace rondo::decoder {
namespace {

// The mandatory prefixes with which an opcode is defined (SDM 2D, tables ). 0: 66 is an operand size there,
// F2 and F3 mean nothing.
enum : std::uint8_t { kNone = 1, k66 = 2, kF3 = 4, kF2 = 8, kAll = 15 };
using RoleTable = std::array<std::uint8_t, 256>;

constexpr void set(RoleTable& table, std::uint8_t mask, unsigned first, unsigned last) {
  for (unsigned opcode = first; opcode <= last; ++opcode) table[opcode] = mask;
}

constexpr void set(RoleTable& table, std::uint8_t mask, std::initializer_list<unsigned> opcodes) {
  for (const unsigned opcode : opcodes) table[opcode] = mask;
}

constexpr RoleTable make_0f_roles() {
  RoleTable table{};
  set(table, kAll, {0x10, 0x11, 0x12, 0x2a, 0x2c, 0x2d, 0x51, 0x58, 0x59, 0x5a, 0x70, 0xc2});
  set(table, kAll, {0x78, 0x79});  // none of which is in the model
  set(table, kAll, 0x5c, 0x5f);
  set(table, kNone | k66, {0x13, 0x14, 0x15, 0x17, 0x28, 0x29, 0x2b, 0x2e, 0x2f, 0x50, 0x6e, 0xe7});
  set(table, kNone | k66, 0x54, 0x57);
  set(table, kNone | k66, 0x60, 0x6b);
  set(table, kNone | k66, 0x71, 0x76);
  set(table, kNone | k66, 0xc4, 0xc6);
  set(table, kNone | k66, 0xd1, 0xd5);
  set(table, kNone | k66, 0xd7, 0xe5);
  set(table, kNone | k66, 0xe8, 0xef);
  set(table, kNone | k66, 0xf1, 0xfe);
  set(table, kNone | k66 | kF3, {0x16, 0x5b, 0x6f, 0x7e, 0x7f});
  set(table, kNone | kF3, {0x52, 0x53});
  set(table, k66, {0x6c, 0x6d});
  set(table, k66 | kF2, {0x7c, 0x7d, 0xd0});
  set(table, k66 | kF3 | kF2, {0xd6, 0xe6});
  set(table, kNone, {0x77, 0xc3});
  set(table, kF2, {0xf0});
  return table;
}

constexpr RoleTable make_0f38_roles() {
  RoleTable table{};
  set(table, k66, 0x00, 0xef);
  set(table, kNone | k66, 0x00, 0x0b);
  set(table, kNone | k66, 0x1c, 0x1e);
  set(table, kNone, 0xc8, 0xcd);  // SHA
  return table;
}

constexpr RoleTable make_0f3a_roles() {
  RoleTable table{};
  set(table, k66, 0x00, 0xff);
  set(table, kNone | k66, {0x0f});
  set(table, kNone, {0xcc});  // SHA
  return table;
}

constexpr auto k0f = make_0f_roles();
constexpr auto k0f38 = make_0f38_roles();
constexpr auto k0f3a = make_0f3a_roles();

// Near branches, whose operand size is 64 bits in 64-bit mode whatever 66 says (SDM 1 6.3.7; Intel's behaviour).
bool is_near_branch(std::span<const std::uint8_t> code) {
  const std::uint8_t opcode = code[0];
  if (opcode == 0x0f) return code.size() > 1 && (code[1] & 0xf0) == 0x80;
  if (opcode == 0xff) {  // /2 CALL, /4 JMP
    const unsigned reg = code.size() > 1 ? (code[1] >> 3) & 7 : 0;
    return reg == 2 || reg == 4;
  }
  return (opcode & 0xf0) == 0x70 || (opcode >= 0xe0 && opcode <= 0xe3) || opcode == 0xe8 || opcode == 0xe9 ||
         opcode == 0xeb || opcode == 0xc2 || opcode == 0xc3;
}

std::uint8_t role_mask(std::span<const std::uint8_t> code) {
  if (code[1] == 0x38) return code.size() > 2 ? k0f38[code[2]] : std::uint8_t{0};
  if (code[1] == 0x3a) return code.size() > 2 ? k0f3a[code[2]] : std::uint8_t{0};
  return k0f[code[1]];
}

// MOVLPD and MOVHPD (66 0F 12, 16) have a memory operand only: MC would read the register forms as MOVHLPS, MOVLHPS.
bool has_form(std::span<const std::uint8_t> code, std::uint8_t given) {
  const bool is_high_low = (code[1] == 0x12 || code[1] == 0x16) && given == k66;
  return !is_high_low || code.size() < 3 || code[2] < 0xc0;
}

// Group 7 (0F 01) and 15 (0F AE) hold unrelated instructions. Is this one defined with the mandatory prefix given?
bool is_defined_in_group(std::span<const std::uint8_t> code, std::uint8_t given) {
  if (given == kNone || code.size() < 3) return true;
  const std::uint8_t modrm = code[2];
  const bool is_register = modrm >= 0xc0;
  // In group 15 only RDFSBASE and its like have one; XSAVE, CLWB and the rest are not in the model.
  if (code[1] == 0xae) return is_register && given == kF3 && ((modrm >> 3) & 7) < 4;
  // MONITOR, MWAIT, CLAC and STAC are "NP"; others ignore prefixes.
  return !(code[1] == 0x01 && modrm >= 0xc8 && modrm <= 0xcf);
}

// Opcodes of the 0F map that have no operand size: MC does not accept 66 on all of them.
bool has_operand_size(std::span<const std::uint8_t> code) {
  switch (code[1]) {
    case 0x01:
      return code.size() > 2 && (code[2] < 0xc0 || ((code[2] >> 3) & 7) == 4);  // LGDT and the like, SMSW
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0b:
    case 0x77:
    case 0xa2:
    case 0xaa:
    case 0xae:
    case 0xc7:
      return false;
    default:
      return code[1] < 0x30 || code[1] > 0x37;
  }
}

}  // namespace

bool is_string_opcode(std::uint8_t opcode) {
  return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf) || (opcode >= 0x6c && opcode <= 0x6f);
}

RolePrefixes assign_roles(const Prefixes& prefixes, std::span<const std::uint8_t> code, CodeMode mode) {
  const bool inverted = mode == CodeMode::bits16;
  RolePrefixes roles;
  roles.operand_size = prefixes.operand_size != inverted;
  roles.address_size = prefixes.address_size != inverted;
  if (code[0] != 0x0f) {
    if (is_string_opcode(code[0])) roles.repeat = prefixes.repeat;
  } else if (code.size() > 1) {
    const std::uint8_t given = prefixes.repeat == 0xf2   ? kF2
                               : prefixes.repeat == 0xf3 ? kF3
                               : prefixes.operand_size   ? k66
                                                         : kNone;
    if (const std::uint8_t mask = role_mask(code); mask != 0) {
      roles.defined = (mask & given) != 0 && has_form(code, given);
      roles.repeat = prefixes.repeat;
      roles.operand_size = given == k66;  // F2 and F3 go before 66
      return roles;
    }
    roles.defined = is_defined_in_group(code, given);
    if (!has_operand_size(code)) roles.operand_size = false;
    // With 67 and REX.W MC reads the upper half of group 15 as if 66 were there; REX.W means nothing to it.
    roles.drop_rex_w = code[1] == 0xae && code.size() > 2 && ((code[2] >> 3) & 7) >= 5;
    // POPCNT, CRC32, group 15
    const bool has_repeat = code[1] == 0xb8 || code[1] == 0x38 || code[1] == 0x3a || code[1] == 0xae;
    if (has_repeat) roles.repeat = prefixes.repeat;
  }
  if ((prefixes.rex & 8) != 0) roles.operand_size = false;  // REX.W goes before 66 (SDM 2A 2.2.1.2)
  if (mode == CodeMode::bits64 && is_near_branch(code)) roles.operand_size = false;
  return roles;
}

}  // namespace rondo::decoder
