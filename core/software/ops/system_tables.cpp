// Descriptor-table registers and the instructions that examine descriptors.
#include "core/software/mode.h"
#include "core/software/ops/system_forms.h"
#include "core/software/system/segment.h"

namespace rondo::software {
namespace {

// op.aux: operand size. The limit has 16 bits, the base 24, 32 or 64.
DescriptorTable read_table(Vcpu& cpu, const Op& op) {
  require_cpl0(cpu);
  const unsigned base_bytes = op.aux == 8 ? 8 : 4;
  const u64 linear = operand_linear(cpu, &op, 2 + base_bytes, false);
  const bool stack = uses_stack_segment(&op);
  DescriptorTable table;
  table.limit = read_linear<u16>(cpu, &op, linear, Privilege::current, stack);
  read_bytes(cpu, &op, linear + 2, &table.base, base_bytes, Privilege::current, stack);
  if (op.aux == 2) table.base &= 0xffffff;
  if (!is_canonical(table.base)) throw fault_gp(0);
  return table;
}

// The base is stored whole even with a 16-bit operand size, as processors since the 80386 do.
void write_table(Vcpu& cpu, const Op& op, const DescriptorTable& table) {
  const unsigned base_bytes = op.aux == 8 ? 8 : 4;
  const u64 linear = operand_linear(cpu, &op, 2 + base_bytes, true);
  const bool stack = uses_stack_segment(&op);
  require_writable(cpu, &op, linear, 2 + base_bytes, Privilege::current, stack);
  write_linear<u16>(cpu, &op, linear, table.limit, Privilege::current, stack);
  write_bytes(cpu, &op, linear + 2, &table.base, base_bytes, Privilege::current, stack);
}

void lgdt(Vcpu& cpu, const Op& op) { cpu.arch.gdtr = read_table(cpu, op); }
void lidt(Vcpu& cpu, const Op& op) { cpu.arch.idtr = read_table(cpu, op); }
void sgdt(Vcpu& cpu, const Op& op) { write_table(cpu, op, cpu.arch.gdtr); }
void sidt(Vcpu& cpu, const Op& op) { write_table(cpu, op, cpu.arch.idtr); }

void lldt(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  require_cpl0(cpu);
  const u16 selector = read_source16(cpu, op);
  if (is_null(selector)) {
    cpu.arch.ldtr = null_ldt(selector);
    return;
  }
  if (selector & 4) throw_selector_fault(kGP, selector);
  Descriptor descriptor = read_descriptor(cpu, selector);
  if (!descriptor.is_system(SystemType::ldt)) throw_selector_fault(kGP, selector);
  complete_system_descriptor(cpu, selector, descriptor);
  if (!descriptor.present()) throw_selector_fault(kNP, selector);
  if (!is_canonical(descriptor.base())) throw_selector_fault(kGP, selector);
  cpu.arch.ldtr = descriptor.to_segment(selector);
}

void ltr(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  require_cpl0(cpu);
  const u16 selector = read_source16(cpu, op);
  if (is_null(selector)) throw fault_gp(0);
  if (selector & 4) throw_selector_fault(kGP, selector);
  Descriptor descriptor = read_descriptor(cpu, selector);
  const bool right_type =
      cpu.long_mode() ? descriptor.is_system(SystemType::tss32_available) : descriptor.is_tss_available();
  if (!right_type) throw_selector_fault(kGP, selector);
  complete_system_descriptor(cpu, selector, descriptor);
  if (!descriptor.present()) throw_selector_fault(kNP, selector);
  if (!is_canonical(descriptor.base())) throw_selector_fault(kGP, selector);
  set_busy(cpu, selector, true);
  cpu.arch.tr = descriptor.to_segment(selector);
  cpu.arch.tr.type |= kTssBusyBit;
}

void sldt(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  store_selector(cpu, op, cpu.arch.ldtr.selector);
}
void str(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  store_selector(cpu, op, cpu.arch.tr.selector);
}

void set_zf(Vcpu& cpu, bool zf) {
  const u64 rest = cpu.lazy.to_rflags() & ~flags::ZF;
  cpu.lazy = LazyFlags::from_rflags(rest | (zf ? flags::ZF : 0));
}

// The descriptor of a selector that LAR, LSL, VERR or VERW may look at; low is 0 if they may not.
Descriptor visible_descriptor(Vcpu& cpu, u16 selector) {
  if (is_null(selector)) return {};
  if (!descriptor_address(cpu, selector)) return {};
  const Descriptor descriptor = read_descriptor(cpu, selector);
  const bool privileged = cpu.cpl > descriptor.dpl() || rpl_of(selector) > descriptor.dpl();
  if (!descriptor.is_conforming() && privileged) return {};
  return descriptor;
}

constexpr u16 types(std::initializer_list<SystemType> list) {
  u16 set = 0;
  for (const SystemType type : list) set = static_cast<u16>(set | 1 << static_cast<unsigned>(type));
  return set;
}
using enum SystemType;
constexpr u16 kLslLong = types({ldt, tss32_available, tss32_busy});
constexpr u16 kLsl = types({ldt, tss16_available, tss16_busy, tss32_available, tss32_busy});
constexpr u16 kLarLong = kLslLong | types({call_gate32});
constexpr u16 kLar = kLsl | types({call_gate16, task_gate, call_gate32});

bool type_allowed(const Vcpu& cpu, const Descriptor& descriptor, u16 in_long_mode, u16 otherwise) {
  if (descriptor.s()) return true;
  return (cpu.long_mode() ? in_long_mode : otherwise) >> descriptor.type() & 1;
}

// op.disp: size of the destination, op.dst.
void set_examined(Vcpu& cpu, const Op& op, u32 value) {
  if (op.imm == 2)
    cpu.set_reg<u16>(op.dst, static_cast<u16>(value));
  else
    cpu.set_reg<u32>(op.dst, value);
  set_zf(cpu, true);
}

void lar(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  const Descriptor descriptor = visible_descriptor(cpu, read_source16(cpu, op));
  if (descriptor.low == 0 || !type_allowed(cpu, descriptor, kLarLong, kLar)) return set_zf(cpu, false);
  set_examined(cpu, op, static_cast<u32>(descriptor.low >> 32) & 0x00ffff00);
}

void lsl(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  const Descriptor descriptor = visible_descriptor(cpu, read_source16(cpu, op));
  if (descriptor.low == 0 || !type_allowed(cpu, descriptor, kLslLong, kLsl)) return set_zf(cpu, false);
  set_examined(cpu, op, descriptor.limit());
}

void verr(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  const Descriptor descriptor = visible_descriptor(cpu, read_source16(cpu, op));
  set_zf(cpu, descriptor.low != 0 && descriptor.is_readable());
}

void verw(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  const Descriptor descriptor = visible_descriptor(cpu, read_source16(cpu, op));
  set_zf(cpu, descriptor.low != 0 && descriptor.is_writable_data());
}

// Raises the destination's RPL to the source's. op.src: the source register, op.dst: a register destination.
void arpl(Vcpu& cpu, const Op& op) {
  require_protected(cpu);
  const unsigned rpl = cpu.reg<u16>(op.src) & 3;
  const u16 selector = op.aux ? cpu.reg<u16>(op.dst) : read_operand<u16>(cpu, &op);
  const bool raises = rpl_of(selector) < rpl;
  const u16 raised = with_rpl(selector, rpl);
  if (op.aux) {
    if (raises) cpu.set_reg<u16>(op.dst, raised);
  } else {
    write_operand<u16>(cpu, &op, raises ? raised : selector);  // the destination is written in any case
  }
  set_zf(cpu, raises);
}

Handler lower_table(const Instruction& instruction, Op& op, Handler handler) {
  if (!is_memory(instruction.operands[0])) return nullptr;
  op.aux = in_code64(instruction) ? 8 : instruction.operand_bytes;
  return handler;
}

Handler lower_examine(const Instruction& instruction, Op& op, Handler handler) {
  op.dst = slot_of(instruction.operands[0]);
  op.imm = instruction.operand_bytes;
  set_source(instruction, op, 1);
  return handler;
}

}  // namespace

template <>
Handler lower<Operation::LGDT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_table(instruction, op, &cold<lgdt>);
}
template <>
Handler lower<Operation::LIDT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_table(instruction, op, &cold<lidt>);
}
template <>
Handler lower<Operation::SGDT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_table(instruction, op, &cold<sgdt>);
}
template <>
Handler lower<Operation::SIDT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_table(instruction, op, &cold<sidt>);
}
template <>
Handler lower<Operation::LLDT>(const Instruction& instruction, Op& op, LowerContext&) {
  set_source(instruction, op, 0);
  return &cold<lldt>;
}
template <>
Handler lower<Operation::LTR>(const Instruction& instruction, Op& op, LowerContext&) {
  set_source(instruction, op, 0);
  return &cold<ltr>;
}
template <>
Handler lower<Operation::SLDT>(const Instruction& instruction, Op& op, LowerContext&) {
  set_destination(instruction, op);
  return &cold<sldt>;
}
template <>
Handler lower<Operation::STR>(const Instruction& instruction, Op& op, LowerContext&) {
  set_destination(instruction, op);
  return &cold<str>;
}
template <>
Handler lower<Operation::LAR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_examine(instruction, op, &cold<lar>);
}
template <>
Handler lower<Operation::LSL>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_examine(instruction, op, &cold<lsl>);
}
template <>
Handler lower<Operation::VERR>(const Instruction& instruction, Op& op, LowerContext&) {
  set_source(instruction, op, 0);
  return &cold<verr>;
}
template <>
Handler lower<Operation::VERW>(const Instruction& instruction, Op& op, LowerContext&) {
  set_source(instruction, op, 0);
  return &cold<verw>;
}
template <>
Handler lower<Operation::ARPL>(const Instruction& instruction, Op& op, LowerContext&) {
  set_destination(instruction, op);
  op.src = slot_of(instruction.operands[1]);
  return &cold<arpl>;
}

}  // namespace rondo::software
