#include "core/software/ops/x87.h"

namespace rondo::software::x87 {

void begin(const Vcpu& cpu) {
  if (cpu.arch.cr0 & (cr0::EM | cr0::TS)) throw fault_nm();
  if (cpu.arch.fpu.status & kErrorSummary) throw Fault{.vector = kMF};
}

void record(Vcpu& cpu, const Op& op) {
  FpuState& f = cpu.arch.fpu;
  f.opcode = static_cast<u16>(op.imm & 0x7ff);
  f.instruction_pointer = cpu.rip;
  f.instruction_selector = cpu.arch.segment[CS].selector;
}

void record_memory(Vcpu& cpu, const Op& op) {
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  f.data_pointer = effective_offset(cpu, &op);
  f.data_selector = cpu.arch.segment[op.aux].selector;
}

bool stack_fault(FpuState& f, bool overflow) {
  f.status |= fp::kInvalid | kStackFault;
  set_c1(f, overflow);
  update_summary(f);
  return (f.control & fp::kInvalid) != 0;
}

Accepted accept(FpuState& f, const fp::Context& context) {
  const u8 raised = context.visible_flags();
  f.status |= raised;
  set_c1(f, (raised & fp::kInexact) != 0 && context.rounded_up);
  update_summary(f);
  const u8 unmasked = context.unmasked();
  const bool result = (unmasked & fp::kPreComputation) == 0;
  return {result, result && (unmasked & (fp::kOverflow | fp::kUnderflow)) == 0};
}

}  // namespace rondo::software::x87
