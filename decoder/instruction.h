// A decoded x86 instruction, independent of the library that decoded it.
#pragma once

#include <array>
#include <cstdint>

#include "decoder/operation.h"

namespace rondo::decoder {

// Default operand/address size of the code segment (SDM 3A 3.4.5: CS.L and CS.D).
enum class CodeMode : std::uint8_t { bits16, bits32, bits64 };

enum class OperandKind : std::uint8_t {
  none,
  gpr,         // reg 0..15 (RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15); high_byte: AH, CH, DH, BH as reg 0..3
  segment,     // reg 0..5: ES, CS, SS, DS, FS, GS (the encoding's order)
  control,     // reg: CR number
  debug,       // reg: DR number
  mmx,         // reg 0..7
  xmm,         // reg 0..15
  st,          // reg: ST(i)
  memory,      // described by Instruction::memory; size_bytes is the access size (0: not a plain access, e.g. INVLPG,
               // FXSAVE)
  immediate,   // Instruction::immediate (the first such operand) or immediate2 (the second), sign-extended to 64 bits
  relative,    // branch displacement in Instruction::immediate, relative to the next instruction
  far_pointer  // ptr16:16/32: Instruction::immediate is the offset, immediate2 the selector
};

struct Operand {
  OperandKind kind = OperandKind::none;
  std::uint8_t reg = 0;
  std::uint8_t size_bytes = 0;  // 1, 2, 4, 8, 10, 16; 0 where it has no meaning
  bool high_byte = false;
};

inline constexpr std::uint8_t kNoRegister = 0xff;
inline constexpr std::uint8_t kRipRegister = 16;  // as a base: RIP/EIP of the next instruction

struct Memory {
  std::uint8_t base = kNoRegister;   // 0..15 or kRipRegister
  std::uint8_t index = kNoRegister;  // 0..15
  std::uint8_t scale_shift = 0;      // log2 of the scale: 0..3
  std::uint8_t segment = 3;          // effective segment, defaults (DS, SS) and overrides already resolved. In 64-bit
                                     // mode overrides other than FS and GS are ignored, as the hardware does.
  std::uint8_t address_bytes = 8;    // 2, 4 or 8
  std::int64_t displacement = 0;     // sign-extended
};

struct Instruction {
  Operation operation = Operation::INVALID;
  std::uint8_t length = 0;         // bytes, 1..15
  std::uint8_t operand_bytes = 4;  // effective operand size of the instruction: 2, 4 or 8 (1 for byte forms)
  std::uint8_t address_bytes = 8;  // effective address size: 2, 4 or 8
  std::uint8_t stack_bytes = 8;    // not known to the decoder outside 64-bit mode (SS.B): 8 in 64-bit mode, else 0
  CodeMode mode = CodeMode::bits64;
  bool lock = false;                            // a legal LOCK prefix (an illegal one decodes as Operation::INVALID)
  bool rep = false;                             // F3 on a string instruction (REP/REPE)
  bool repne = false;                           // F2 on a string instruction
  std::uint8_t segment_override = kNoRegister;  // as encoded: 0..5, for implicit string sources
  std::uint8_t condition = 0;  // JCC, SETCC, CMOVCC: the encoding's low four bits (SDM 2, appendix B: tttn)
  std::uint16_t x87_opcode = 0;    // x87 instructions: the 11 bits that FOP holds (SDM 1 8.1.9), as encoded
  std::uint8_t operand_count = 0;
  std::array<Operand, 4> operands{};  // explicit operands in Intel order (destination first)
  Memory memory{};
  std::int64_t immediate = 0;
  std::int64_t immediate2 = 0;
};

}  // namespace rondo::decoder
