// Builds one test case: instructions, and the initial state that makes them do something.
#pragma once

#include <span>

#include "tests/silicon/encoder.h"
#include "tests/silicon/operands.h"

namespace rondo::silicon {

class CaseBuilder {
 public:
  // The code goes to test.initial.rip, which must be set. Bytes of the code image beyond its end are dropped.
  CaseBuilder(Random& random, decoder::Decoder& decoder, CodeImage& code, TestCase& test, const Comparison& comparison);

  // Each returns false if no encoding was found that may run; the case must then be built anew.
  bool build_single(const std::vector<Form>& forms);
  bool build_sequence(const Forms& forms, unsigned count);

  u64 end() const { return at_; }  // after the terminator

 private:
  bool emit(const Form& form, const AddressingChoice& addressing);
  bool needs_modrm_of_undefined(const decoder::Instruction& instruction, unsigned length) const;
  void emit_bytes(std::span<const u8> bytes);
  void finish();

  void fill_registers(Kind kind);
  void fill_flags(bool string);
  u64 choose_target(unsigned size, Kind kind);
  bool aim(const decoder::Instruction& instruction, Encoded& encoded, u64 target);
  u64 aim_registers(const decoder::Memory& memory, u64 offset, Encoded& encoded);
  void set_displacement(Encoded& encoded, u64 value);
  void set_immediate(Encoded& encoded, u64 value);
  void prepare(const decoder::Instruction& instruction, Encoded& encoded, u64 target);
  void prepare_branch(const decoder::Instruction& instruction, Encoded& encoded, u64 target);
  void prepare_approximate(decoder::Operation operation);
  void prepare_string(const decoder::Instruction& instruction);
  void prepare_selector(const decoder::Instruction& instruction, u64 target);
  void prepare_image(const decoder::Instruction& instruction, u64 target);
  void patch(u64 address, std::span<const u8> bytes);
  template <class T>
  void patch_value(u64 address, const T& value) {
    patch(address, {reinterpret_cast<const u8*>(&value), sizeof value});
  }

  Random& random_;
  decoder::Decoder& decoder_;
  CodeImage& code_;
  TestCase& test_;
  Registers& regs_;
  u64 at_;
  const Comparison& comparison_;
  bool single_ = true;
  bool marker_ = false;  // a skippable instruction must follow
  u16 patch_bytes_used_ = 0;
};

// Which kind of value an operation works on, from its name; `size` is that of its memory operand.
Kind operand_kind(decoder::Operation operation, unsigned size);

}  // namespace rondo::silicon
