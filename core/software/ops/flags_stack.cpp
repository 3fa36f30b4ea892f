// PUSHF and POPF (SDM 2B). The CPU model has no VME, so in virtual-8086 mode they need IOPL 3.
#include "core/software/mode.h"
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

void require_v8086_iopl(const Vcpu& cpu) {
  if (cpu.v8086() && cpu.iopl() < 3) throw fault_gp();
}

template <class T>
void pushf(Vcpu& cpu, const Op& op) {
  require_v8086_iopl(cpu);
  push(cpu, &op, static_cast<T>(cpu.rflags() & ~(flags::VM | flags::RF)), sizeof(T));
}

// What POPF may change here. VM, VIF and VIP stay; RF is cleared by the 32- and 64-bit forms.
u64 changeable(const Vcpu& cpu, unsigned bytes) {
  u64 mask = flags::kArithmetic | flags::TF | flags::DF | flags::NT;
  if (cpu.cpl == 0) mask |= flags::IOPL;
  if (cpu.cpl <= cpu.iopl()) mask |= flags::IF;
  if (bytes > 2) mask |= flags::AC | flags::ID | flags::RF;
  return mask;
}

template <class T>
void popf(Vcpu& cpu, const Op& op) {
  require_v8086_iopl(cpu);
  const u64 mask = changeable(cpu, sizeof(T));
  const u64 popped = pop(cpu, &op, sizeof(T)) & ~flags::RF;
  const u64 before = cpu.rflags();
  const u64 after = (before & ~mask) | (popped & mask);
  cpu.set_rflags(after);
  const u64 changed = before ^ after;
  if (changed & (flags::TF | flags::AC)) mode_changed(cpu);
  // An interrupt may have become deliverable; a trap may be due after the next instruction.
  if (changed & (flags::TF | flags::AC | flags::IF)) cpu.attention = true;
}

}  // namespace

template <>
Handler lower<Operation::PUSHF>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &cold<pushf<u16>>, &cold<pushf<u32>>, &cold<pushf<u64>>);
}

template <>
Handler lower<Operation::POPF>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &cold<popf<u16>>, &cold<popf<u32>>, &cold<popf<u64>>);
}

}  // namespace rondo::software
