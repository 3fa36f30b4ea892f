#include "tests/silicon/scenario.h"

#include <algorithm>
#include <bit>

#include "core/cpu/canonical.h"
#include "core/cpu/registers.h"
#include "decoder/decoder.h"
#include "tests/silicon/policy.h"

namespace rondo::silicon {
namespace {

// Calls `visit` for each instruction of the case as laid out; stops at what does not decode.
template <class Visitor>
void for_each_instruction(const TestCase& test, const CodeImage& code, Visitor visit) {
  thread_local decoder::Decoder decoder;
  u64 at = test.initial.rip - kCodeBase;
  const u64 end = std::min<u64>(at + test.code_length, kCodeBytes);
  while (at < end) {
    decoder::Instruction instruction;
    const auto bytes = std::span(code).subspan(at, std::min<u64>(15, kCodeBytes - at));
    if (decoder.decode(bytes, decoder::CodeMode::bits64, instruction) != decoder::DecodeStatus::ok) {
      visit(decoder::Instruction{});
      return;
    }
    visit(instruction);
    at += instruction.length;
  }
}

}  // namespace

std::unique_ptr<Scenario> extract(const Batch& batch, u32 index) {
  auto scenario = std::make_unique<Scenario>();
  scenario->test = batch.cases[index];
  scenario->data = batch.data;
  const u64 at = scenario->test.initial.rip - kCodeBase;
  const u64 length = std::min<u64>(scenario->test.code_length + u64{kTerminatorBytes}, kCodeBytes - at);
  std::memcpy(scenario->code.data() + at, batch.code.data() + at, length);
  return scenario;
}

std::string operation_names(const TestCase& test, const CodeImage& code) {
  std::string names;
  for_each_instruction(test, code, [&](const decoder::Instruction& instruction) {
    if (instruction.operation == decoder::Operation::NOP && !names.empty()) return;
    if (!names.empty()) names += '+';
    names += decoder::operation_name(instruction.operation);
  });
  return names;
}

bool profile_applies(const std::string& vendor, unsigned family) { return vendor == "AuthenticAMD" && family >= 0x17; }

Tolerance tolerance_of(const TestCase& test, const CodeImage& code, bool profile_host, u64& left_out) {
  Tolerance tolerance;
  for_each_instruction(test, code, [&](const decoder::Instruction& instruction) {
    const u64 undefined = undefined_flags(instruction);
    if (!profile_host) tolerance.ignored_flags |= undefined;
    tolerance.image |= moves_image(instruction.operation);
    tolerance.approximate |= approximate(instruction.operation);
  });
  left_out += static_cast<u64>(std::popcount(tolerance.ignored_flags));
  return tolerance;
}

std::string_view explained_by_kvm(const TestCase& test, const CodeImage& code, const Outcome& silicon) {
  if (silicon.final.rflags & flags::NT) return "NT set by the code is lost";
  if (!is_canonical(silicon.final.gpr[RSP])) return "code with an RSP that is not canonical is emulated";
  std::string_view reason;
  for_each_instruction(test, code, [&](const decoder::Instruction& instruction) {
    if (uses_descriptors(instruction.operation)) reason = "descriptors and segment registers are the host's";
    if (instruction.operation == decoder::Operation::INT3 && (silicon.final.rflags & flags::TF))
      reason = "an INT3 under a TF that the program set itself is taken for the end of a single step";
    if (instruction.operation == decoder::Operation::INT)
      reason = "software interrupts of vectors that the host uses are lost";
    if (moves_image(instruction.operation)) reason = "images are moved by an emulator that checks less";
    if (instruction.operation == decoder::Operation::INVALID && silicon.vector == kUD)
      reason = "what is #UD because of a LOCK prefix is emulated";
    if (instruction.operation == decoder::Operation::ENTER)
      reason = "an ENTER that faults, also for the host's own reasons, has written already and is executed again";
    const auto* operands = instruction.operands.begin();
    if (silicon.vector == kGP && std::any_of(operands, operands + instruction.operand_count, [](const auto& operand) {
          return operand.kind == decoder::OperandKind::mmx;
        }))
      reason = "an MMX instruction that faults has set TOP already";
  });
  return reason;
}

}  // namespace rondo::silicon
