#include "tests/silicon/scenario.h"

#include <bit>

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

}  // namespace rondo::silicon
