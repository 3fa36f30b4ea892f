#include "harness/trace.h"

#include <fmt/format.h>

#include <array>

#include "decoder/format.h"
#include "harness/guest_memory.h"
#include "harness/registers.h"

namespace rondo {
namespace {

decoder::CodeMode code_mode(const CpuState& cpu) {
  const Segment& cs = cpu.segment[CS];
  if ((cpu.efer & efer::LMA) && cs.l) return decoder::CodeMode::bits64;
  const bool protected_mode = (cpu.cr0 & cr0::PE) && !(cpu.rflags & flags::VM);
  return protected_mode && cs.db ? decoder::CodeMode::bits32 : decoder::CodeMode::bits16;
}

}  // namespace

std::string describe_changes(const CpuState& before, const CpuState& after) {
  const std::vector<RegisterValue> old_values = register_values(before), new_values = register_values(after);
  std::string text;
  for (u64 i = 0; i < new_values.size(); ++i) {
    const RegisterValue& value = new_values[i];
    if (value == old_values[i] || value.name == "rip") continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", value.name, format_value(value));
  }
  return text;
}

std::string instruction_text(decoder::Decoder& decoder, const CpuState& cpu, const PhysicalMemory& memory) {
  std::array<u8, decoder::kMaxInstructionBytes> bytes;
  const decoder::CodeMode mode = code_mode(cpu);
  const u64 linear = cpu.segment[CS].base + cpu.rip;
  const GuestLinear address{mode == decoder::CodeMode::bits64 ? cpu.rip : linear & 0xffffffff};
  const u64 length = read_linear(cpu, memory, address, bytes);
  decoder::Instruction instruction;
  const auto status = decoder.decode(std::span(bytes).first(length), mode, instruction);
  if (status == decoder::DecodeStatus::ok) return decoder::format(instruction, cpu.rip);
  if (length == 0) return "(not mapped)";
  std::string raw = "(bad)";
  for (u64 i = 0; i < length; ++i) raw += fmt::format(" {:02x}", bytes[i]);
  return raw;
}

void Tracer::before() {
  state_ = machine_.engine().state();
  count_ = machine_.clock().count();
  now_ = machine_.clock().now();
  text_ = state_.activity == Activity::halted ? "(halted)" : instruction_text(decoder_, state_, machine_.memory());
}

void Tracer::after() {
  const CpuState state = machine_.engine().state();
  const u64 executed = machine_.clock().count() - count_;
  out_ << fmt::format("{:>12} {:016x}  {:<44} {}", count_.value, state_.rip, text_, describe_changes(state_, state));
  if (const u64 skipped = machine_.clock().now() - now_ - executed * kNsPerInstruction)
    out_ << fmt::format(" (idle {} ns)", skipped);
  out_ << '\n';
}

}  // namespace rondo
