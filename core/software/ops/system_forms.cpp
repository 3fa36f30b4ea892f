#include "core/software/ops/system_forms.h"

namespace rondo::software {

void store_selector(Vcpu& cpu, const Op& op, u16 value) {
  switch (op.aux) {
    case 0:
      write_operand<u16>(cpu, &op, value);
      break;
    case 2:
      cpu.set_reg<u16>(op.dst, value);
      break;
    case 4:
      cpu.set_reg<u32>(op.dst, value);
      break;
    default:
      cpu.set_reg<u64>(op.dst, value);
      break;
  }
}

void set_destination(const Instruction& instruction, Op& op, unsigned n) {
  const Operand& operand = instruction.operands[n];
  if (is_register(operand)) {
    op.dst = slot_of(operand);
    op.aux = operand.size_bytes;
  } else {
    op.aux = 0;
  }
}

void set_source(const Instruction& instruction, Op& op, unsigned n) {
  const Operand& operand = instruction.operands[n];
  if (is_register(operand)) {
    op.src = slot_of(operand);
    op.aux = 2;
  } else {
    op.aux = 0;
  }
}

u16 read_source16(Vcpu& cpu, const Op& op) { return op.aux ? cpu.reg<u16>(op.src) : read_operand<u16>(cpu, &op); }

}  // namespace rondo::software
