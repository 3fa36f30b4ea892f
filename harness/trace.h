// A readable account of single instructions: count, RIP, text and the registers that changed.
#pragma once

#include <ostream>
#include <string>

#include "core/machine.h"
#include "decoder/decoder.h"

namespace rondo {

class Tracer {
 public:
  Tracer(Machine& machine, std::ostream& out) : machine_(machine), out_(out) {}
  // Before and after one instruction (or whatever else advances the machine: an interrupt's delivery, an idle skip).
  void before();
  void after();

 private:
  Machine& machine_;
  std::ostream& out_;
  decoder::Decoder decoder_;
  CpuState state_;
  InstrCount count_;
  VirtualNs now_;
  std::string text_;
};

// The instruction at RIP, as it is in memory.
std::string instruction_text(decoder::Decoder& decoder, const CpuState& cpu, const PhysicalMemory& memory);
// "rax=2 ..." for every field but RIP that differs; empty if none does.
std::string describe_changes(const CpuState& before, const CpuState& after);

}  // namespace rondo
