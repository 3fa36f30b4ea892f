// Bytes -> Instruction, in all three code modes. LLVM MC does the decoding; this adds what MC gets wrong or leaves out:
// prefixes, LOCK, the 15-byte limit, forms that MC rejects, operands in Intel's order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "decoder/instruction.h"

namespace rondo::decoder {

inline constexpr unsigned kMaxInstructionBytes = 15;  // SDM 2A 2.3.11

enum class DecodeStatus : std::uint8_t {
  ok,
  invalid,    // raises #UD. Instruction::length is 0 where it is not known
  truncated,  // needs bytes beyond those given: fetch them, or raise the fault that fetching them causes
  too_long    // more than 15 bytes: raises #GP(0)
};

// Details of the operands beyond what instruction.h says:
//  - Immediates are sign-extended from their encoded width, also where the hardware then uses them unsigned (INT, IN,
//    OUT, shifts, shuffles: mask them). ENTER's two, RET's and those of far pointers are zero-extended.
//  - The constant 1 of D0 and D1 shifts, CL, DX, AX/EAX/RAX, ST(0) and XMM0 are operands where Intel's syntax shows
//  them.
//  - XCHG and XADD have the r/m operand first.
//  - MOV CS as a destination, and MOV from or to control and debug registers that do not exist, are invalid.
//  - TZCNT and LZCNT decode as BSF and BSR, as on every processor without BMI1 and LZCNT.
//
// Not thread-safe: one Decoder per thread. A pure function of its arguments otherwise. No allocation per instruction.
class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // Decodes the instruction at the start of `bytes`; never looks past them. 15 bytes always suffice.
  // `out` is complete if the result is ok; else only operation (INVALID), length and mode mean something.
  DecodeStatus decode(std::span<const std::uint8_t> bytes, CodeMode mode, Instruction& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// May this operation carry LOCK when its destination is memory? (SDM 2A, LOCK)
bool is_lockable(Operation operation);

}  // namespace rondo::decoder
