// MOV to and from control and debug registers, SMSW, LMSW, CLTS.
#include "core/software/system/control.h"

#include "core/software/ops/system_forms.h"

namespace rondo::software {
namespace {

u64 source_value(const Vcpu& cpu, const Op& op) { return op.aux == 8 ? cpu.reg<u64>(op.src) : cpu.reg<u32>(op.src); }
void set_destination_value(Vcpu& cpu, const Op& op, u64 value) {
  if (op.aux == 8)
    cpu.set_reg<u64>(op.dst, value);
  else
    cpu.set_reg<u32>(op.dst, static_cast<u32>(value));
}

// op.src: the control register.
void read_cr(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  set_destination_value(cpu, op, read_control(cpu, op.src));
}
void write_cr0(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  set_cr0(cpu, source_value(cpu, op));
}
void write_cr2(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  cpu.arch.cr2 = source_value(cpu, op);
}
void write_cr3(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  set_cr3(cpu, source_value(cpu, op));
}
void write_cr4(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  set_cr4(cpu, source_value(cpu, op));
}
void write_cr8(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  const u64 value = source_value(cpu, op);
  if (value > 15) throw fault_gp(0);
  cpu.sync_clock(&op);
  cpu.apic->write_cr8(static_cast<u8>(value));
}

// A new address space in 64-bit code, without the driver: what is mapped at the next instruction is looked up afresh.
const Op* write_cr3_64(Vcpu& cpu, const Op* op) {
  const u64 value = cpu.reg<u64>(op->src);
  if (cpu.cpl != 0 || !is_valid_cr3(cpu, value)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  cpu.arch.cr3 = value;
  ++cpu.flushes;
  mode_changed(cpu);
  return continue_at(cpu, op, following_rip(cpu, op));
}

// DR4 and DR5 are DR6 and DR7, unless CR4.DE (SDM 3B 17.2.2).
unsigned debug_register(const Vcpu& cpu, unsigned n) {
  if (n == 4 || n == 5) {
    if (cpu.arch.cr4 & cr4::DE) throw fault_ud();
    return n + 2;
  }
  return n;
}

void check_debug_access(const Vcpu& cpu) {
  require_cpl0(cpu);
  if (cpu.arch.dr7 & dr7::GD) throw Fault{.vector = kDB, .dr6 = dr6::BD};
}

void read_dr(Vcpu& cpu, const Op& op) {
  const unsigned n = debug_register(cpu, op.src);
  check_debug_access(cpu);
  set_destination_value(cpu, op, n < 4 ? cpu.arch.dr[n] : n == 6 ? cpu.arch.dr6 : cpu.arch.dr7);
}

void write_dr(Vcpu& cpu, const Op& op) {
  const unsigned n = debug_register(cpu, op.dst);
  check_debug_access(cpu);
  const u64 value = source_value(cpu, op);
  if (n < 4) {
    cpu.arch.dr[n] = value;
  } else {
    if (value >> 32) throw fault_gp(0);
    constexpr u64 kDr6Writable = 0xe00f, kDr7Writable = 0xffff23ff;
    if (n == 6)
      cpu.arch.dr6 = (value & kDr6Writable) | dr6::kFixed1;
    else
      cpu.arch.dr7 = (value & kDr7Writable) | dr7::kFixed1;
  }
  mode_changed(cpu);
}

void smsw(Vcpu& cpu, const Op& op) {
  switch (op.aux) {
    case 0:
      write_operand<u16>(cpu, &op, static_cast<u16>(cpu.arch.cr0));
      break;
    case 2:
      cpu.set_reg<u16>(op.dst, static_cast<u16>(cpu.arch.cr0));
      break;
    case 4:
      cpu.set_reg<u32>(op.dst, static_cast<u32>(cpu.arch.cr0));
      break;
    default:
      cpu.set_reg<u64>(op.dst, cpu.arch.cr0);
      break;
  }
}

// PE can be set, but not cleared.
void lmsw(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  constexpr u64 kLoaded = cr0::PE | cr0::MP | cr0::EM | cr0::TS;
  const u64 value = read_source16(cpu, op) & kLoaded;
  set_cr0(cpu, (cpu.arch.cr0 & ~(kLoaded & ~cr0::PE)) | value);
}

void clts(Vcpu& cpu, const Op&) {
  require_cpl0(cpu);
  cpu.arch.cr0 &= ~cr0::TS;
}

Handler lower_write_cr(unsigned n, bool wide, LowerContext& context) {
  switch (n) {
    case 0:
      return lower_ending<write_cr0>(context);
    case 2:
      return &cold<write_cr2>;
    case 3:
      if (!wide) return lower_ending<write_cr3>(context);
      context.ends_block = true;
      return &write_cr3_64;
    case 4:
      return lower_ending<write_cr4>(context);
    case 8:
      return lower_ending<write_cr8>(context);
    default:
      return nullptr;
  }
}

}  // namespace

template <>
Handler lower<Operation::MOV_CR>(const Instruction& instruction, Op& op, LowerContext& context) {
  const Operand& to = instruction.operands[0];
  const Operand& from = instruction.operands[1];
  const bool wide = in_code64(instruction);
  op.aux = wide ? 8 : 4;
  if (to.kind == OperandKind::control) {
    op.dst = to.reg;
    op.src = slot_of(from);
    return lower_write_cr(to.reg, wide, context);
  }
  const unsigned n = from.reg;
  if (n == 1 || (n > 4 && n != 8)) return nullptr;
  op.dst = slot_of(to);
  op.src = from.reg;
  return &cold<read_cr>;
}

template <>
Handler lower<Operation::MOV_DR>(const Instruction& instruction, Op& op, LowerContext& context) {
  const Operand& to = instruction.operands[0];
  const Operand& from = instruction.operands[1];
  op.aux = in_code64(instruction) ? 8 : 4;
  if (to.kind == OperandKind::debug) {
    if (to.reg > 7) return nullptr;
    op.dst = to.reg;
    op.src = slot_of(from);
    return lower_ending<write_dr>(context);
  }
  if (from.reg > 7) return nullptr;
  op.dst = slot_of(to);
  op.src = from.reg;
  return &cold<read_dr>;
}

template <>
Handler lower<Operation::SMSW>(const Instruction& instruction, Op& op, LowerContext&) {
  set_destination(instruction, op);
  return &cold<smsw>;
}
template <>
Handler lower<Operation::LMSW>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_source(instruction, op, 0);
  return lower_ending<lmsw>(context);
}
template <>
Handler lower<Operation::CLTS>(const Instruction&, Op&, LowerContext&) {
  return &cold<clts>;
}

}  // namespace rondo::software
