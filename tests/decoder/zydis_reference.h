// Zydis as a second opinion: its reading of an instruction, in the decoder's terms.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "decoder/decoder.h"

namespace rondo::decoder::testing {

struct Reference {
  DecodeStatus status = DecodeStatus::invalid;
  bool in_model = true;     // Zydis knows the instruction, but it belongs to an extension that rondo-v1 does not have
  std::string mnemonic;     // Zydis's, upper case
  Instruction instruction;  // if status is ok; operation INVALID if there is no operation of that name
};

class ZydisReference {
 public:
  ZydisReference();
  ~ZydisReference();
  Reference decode(std::span<const std::uint8_t> bytes, CodeMode mode) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What differs first between Rondo's and Zydis's reading ("length", "operation", "operand 1 reg", ...); empty: nothing.
std::string first_difference(const Instruction& ours, const Instruction& theirs);

}  // namespace rondo::decoder::testing
