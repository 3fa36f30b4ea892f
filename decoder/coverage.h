// What becomes of every instruction that LLVM knows: implemented, or #UD on purpose, and why.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rondo::decoder {

enum class CoverageStatus {
  implemented,
  invalid,  // raises #UD: not in the CPU model
  never     // stands for no instruction; the disassembler does not produce it
};

struct CoverageRow {
  std::string_view llvm_name;
  CoverageStatus status;
  std::string_view what;     // the operation's name, or the reason why not
  std::string_view feature;  // of an operation: the CPUID feature that brings it ("base", "sse2", ...)
};

// One row per opcode of the LLVM that the decoder was built with, pseudo-instructions left out.
std::span<const CoverageRow> coverage();

// A summary by feature and by reason, then (if `all`) one line per opcode.
std::string coverage_text(bool all);

// {"llvm": "14.0.6", "operations": N, "opcodes": [{"name", "status", "operation" or "reason", "feature"}, ...]}
std::string coverage_json();

}  // namespace rondo::decoder
