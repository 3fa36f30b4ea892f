#include "harness/trace.h"

#include <fmt/format.h>

#include <array>

#include "decoder/format.h"
#include "harness/guest_memory.h"

namespace rondo {
namespace {

constexpr std::array kGprNames{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                               "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array kSegmentNames{"es", "cs", "ss", "ds", "fs", "gs"};

class Changes {
 public:
  template <class T>
  void field(std::string_view name, T before, T after) {
    if (before != after) text_ += fmt::format(" {}={:x}", name, after);
  }
  void segment(std::string_view name, const Segment& before, const Segment& after) {
    field(name, before.selector, after.selector);
    if (before.base != after.base) text_ += fmt::format(" {}.base={:x}", name, after.base);
  }
  std::string text_;
};

decoder::CodeMode code_mode(const CpuState& cpu) {
  const Segment& cs = cpu.segment[CS];
  if ((cpu.efer & efer::LMA) && cs.l) return decoder::CodeMode::bits64;
  const bool protected_mode = (cpu.cr0 & cr0::PE) && !(cpu.rflags & flags::VM);
  return protected_mode && cs.db ? decoder::CodeMode::bits32 : decoder::CodeMode::bits16;
}

}  // namespace

std::string describe_changes(const CpuState& before, const CpuState& after) {
  Changes c;
  for (unsigned i = 0; i < kGprNames.size(); ++i) c.field(kGprNames[i], before.gpr[i], after.gpr[i]);
  c.field("rflags", before.rflags, after.rflags);
  for (unsigned i = 0; i < kSegmentNames.size(); ++i) c.segment(kSegmentNames[i], before.segment[i], after.segment[i]);
  c.segment("ldtr", before.ldtr, after.ldtr);
  c.segment("tr", before.tr, after.tr);
  c.field("gdtr", before.gdtr.base, after.gdtr.base);
  c.field("idtr", before.idtr.base, after.idtr.base);
  c.field("cr0", before.cr0, after.cr0);
  c.field("cr2", before.cr2, after.cr2);
  c.field("cr3", before.cr3, after.cr3);
  c.field("cr4", before.cr4, after.cr4);
  c.field("efer", before.efer, after.efer);
  for (unsigned i = 0; i < 4; ++i) c.field(fmt::format("dr{}", i), before.dr[i], after.dr[i]);
  c.field("dr6", before.dr6, after.dr6);
  c.field("dr7", before.dr7, after.dr7);
  for (unsigned i = 0; i < 16; ++i) {
    if (before.xmm[i] != after.xmm[i])
      c.text_ += fmt::format(" xmm{}={:016x}{:016x}", i, after.xmm[i].lane[1], after.xmm[i].lane[0]);
  }
  c.field("mxcsr", before.mxcsr, after.mxcsr);
  for (unsigned i = 0; i < 8; ++i) {
    const bool same = before.fpu.significand[i] == after.fpu.significand[i] &&
                      before.fpu.sign_exponent[i] == after.fpu.sign_exponent[i];
    if (!same) c.text_ += fmt::format(" fr{}={:04x}{:016x}", i, after.fpu.sign_exponent[i], after.fpu.significand[i]);
  }
  c.field("fcw", before.fpu.control, after.fpu.control);
  c.field("fsw", before.fpu.status, after.fpu.status);
  if (before.activity != after.activity && after.activity == Activity::halted) c.text_ += " halted";
  return c.text_.empty() ? c.text_ : c.text_.substr(1);
}

std::string Tracer::instruction_text() {
  std::array<u8, decoder::kMaxInstructionBytes> bytes;
  const decoder::CodeMode mode = code_mode(state_);
  const u64 linear = state_.segment[CS].base + state_.rip;
  const GuestLinear address{mode == decoder::CodeMode::bits64 ? state_.rip : linear & 0xffffffff};
  const u64 length = read_linear(state_, machine_.memory(), address, bytes);
  decoder::Instruction instruction;
  const auto status = decoder_.decode(std::span(bytes).first(length), mode, instruction);
  if (status == decoder::DecodeStatus::ok) return decoder::format(instruction, state_.rip);
  if (length == 0) return "(not mapped)";
  std::string raw = "(bad)";
  for (u64 i = 0; i < length; ++i) raw += fmt::format(" {:02x}", bytes[i]);
  return raw;
}

void Tracer::before() {
  state_ = machine_.engine().state();
  count_ = machine_.clock().count();
  now_ = machine_.clock().now();
  text_ = state_.activity == Activity::halted ? "(halted)" : instruction_text();
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
