#include "decoder/substitutions.h"

namespace rondo::decoder {
namespace {

constexpr unsigned modrm_mod(std::uint8_t modrm) { return modrm >> 6; }
constexpr unsigned modrm_reg(std::uint8_t modrm) { return (modrm >> 3) & 7; }
constexpr std::uint8_t with_reg(std::uint8_t modrm, unsigned reg) {
  return static_cast<std::uint8_t>((modrm & 0xc7) | (reg << 3));
}

// x87 opcodes that do what another one does (SDM 2C, appendix A, tables leave them blank; every processor
// since the 387 has them). Register forms only.
void substitute_x87(std::uint8_t& opcode, std::uint8_t& modrm) {
  const unsigned index = modrm & 7;
  const auto become = [&](std::uint8_t new_opcode, std::uint8_t new_base) {
    opcode = new_opcode;
    modrm = static_cast<std::uint8_t>(new_base | index);
  };
  const unsigned base = modrm & 0xf8;
  if (opcode == 0xdc && base == 0xd0) return become(0xd8, 0xd0);                    // FCOM ST(i)
  if (opcode == 0xdc && base == 0xd8) return become(0xd8, 0xd8);                    // FCOMP ST(i)
  if (opcode == 0xde && base == 0xd0) return become(0xd8, 0xd8);                    // FCOMP ST(i)
  if (opcode == 0xdd && base == 0xc8) return become(0xd9, 0xc8);                    // FXCH ST(i)
  if (opcode == 0xdf && base == 0xc8) return become(0xd9, 0xc8);                    // FXCH ST(i)
  if (opcode == 0xd9 && base == 0xd8) return become(0xdd, 0xd8);                    // FSTP ST(i)
  if (opcode == 0xdf && (base == 0xd0 || base == 0xd8)) return become(0xdd, 0xd8);  // FSTP ST(i)
}

std::optional<Substitution> substitute_two_byte(std::span<std::uint8_t> code) {
  std::uint8_t& opcode = code[1];
  if (code.size() < 3) return std::nullopt;
  std::uint8_t& modrm = code[2];
  if (opcode >= 0x20 && opcode <= 0x23) {  // MOV CR, DR: mod is ignored (SDM 2A, MOV to and from control registers)
    modrm |= 0xc0;
    return Substitution{};
  }
  const bool is_prefetch =
      (opcode == 0x18 && modrm_reg(modrm) < 4 && modrm_mod(modrm) != 3) || (opcode == 0x0d && modrm_mod(modrm) != 3);
  if (is_prefetch) {  // whatever the hint, all prefetches are one operation
    opcode = 0x18;
    modrm = with_reg(modrm, 1);
    return Substitution{.operation = Operation::PREFETCH};
  }
  if ((opcode >= 0x18 && opcode <= 0x1f) || opcode == 0x0d) {  // hint NOPs (SDM 2B, NOP); no CET, no MPX in the model
    opcode = 0x1f;
    modrm = with_reg(modrm, 0);
    return Substitution{.operation = Operation::NOP};
  }
  if (opcode == 0xff) {  // UD0 has a ModRM byte (SDM 2B, UD); read it as IMUL r, r/m
    opcode = 0xaf;
    return Substitution{.operation = Operation::UD0};
  }
  if (opcode == 0xae && modrm_mod(modrm) == 3 && modrm_reg(modrm) >= 5) modrm &= 0xf8;  // the fences ignore r/m
  return std::nullopt;
}

}  // namespace

std::optional<Substitution> substitute(std::span<std::uint8_t> code, CodeMode mode) {
  std::uint8_t& opcode = code[0];
  if (opcode == 0xf1) {
    opcode = 0xcc;
    return Substitution{.operation = Operation::INT1};
  }
  if (code.size() < 2) return std::nullopt;
  std::uint8_t& modrm = code[1];
  switch (opcode) {
    case 0x0f:
      return substitute_two_byte(code);
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      if (modrm_reg(modrm) == 6) modrm = with_reg(modrm, 4);  // SAL is SHL
      return std::nullopt;
    case 0xf6:
    case 0xf7:
      if (modrm_reg(modrm) == 1) modrm = with_reg(modrm, 0);  // TEST
      return std::nullopt;
    case 0x62:
      if (mode == CodeMode::bits64 || modrm_mod(modrm) == 3) return std::nullopt;  // EVEX
      opcode = 0x8b;                                                               // read as MOV r, m
      return Substitution{.operation = Operation::BOUND, .plain_memory = false};
    case 0xdb:
      if (modrm == 0xe0 || modrm == 0xe1 || modrm == 0xe4) {  // FNENI, FNDISI, FNSETPM: no effect, and they do not wait
        opcode = 0xd9;
        modrm = 0xd0;
        return Substitution{.operation = Operation::NOP};
      }
      [[fallthrough]];
    default:
      if (opcode >= 0xd8 && opcode <= 0xdf && modrm_mod(modrm) == 3) substitute_x87(opcode, modrm);
      return std::nullopt;
  }
}

}  // namespace rondo::decoder
