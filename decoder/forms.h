// How an MCInst becomes an Instruction: one OpcodeForm per distinct shape, generated from operations.txt.
#pragma once

#include <cstdint>

#include "decoder/operation.h"

namespace rondo::decoder {

// Column "size" of operations.txt.
enum class SizeRule : std::uint8_t { prefixes, stack, near_branch, mode, fixed };

// One step produces one operand (or the condition) from the MCInst's operands, starting at `argument`.
enum class StepKind : std::uint8_t {
  end,
  reg,     // MCOperand `argument`
  memory,  // base, scale, index, displacement, segment
  offset,  // moffs: displacement, segment
  immediate,
  relative,
  far_pointer,  // offset, selector
  condition,
  accumulator,  // of the operand size
  one,          // the constant 1
  fixed_cl,
  fixed_dx,
  fixed_ax,
  fixed_st0,
  fixed_xmm0,
  fixed_segment  // `argument` is the segment's number
};

struct Step {
  StepKind kind = StepKind::end;
  std::uint8_t argument = 0;
};

inline constexpr unsigned kMaxSteps = 5;  // four operands and the end
inline constexpr std::uint8_t kMemoryIsOperandSize = 0xff;

struct OpcodeForm {
  Operation operation = Operation::INVALID;
  SizeRule size_rule = SizeRule::prefixes;
  std::uint8_t fixed_bytes = 0;   // the operand size if size_rule is fixed
  std::uint8_t memory_bytes = 0;  // or kMemoryIsOperandSize
  Step steps[kMaxSteps]{};
};

}  // namespace rondo::decoder
