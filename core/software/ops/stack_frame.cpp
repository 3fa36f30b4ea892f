// ENTER, PUSHA, POPA (SDM 2A, 2B).
#include <array>

#include "core/software/ops/alu_forms.h"
#include "core/software/ops/stack_guard.h"

namespace rondo::software {
namespace {

u64 stack_mask(const Vcpu& cpu) {
  switch (cpu.stack_bytes()) {
    case 8:
      return ~u64{0};
    case 4:
      return 0xffffffff;
    default:
      return 0xffff;
  }
}

// imm: bytes of local variables; aux: nesting level.
template <class T>
void enter(Vcpu& cpu, const Op& op) {
  StackGuard guard(cpu);
  const u64 mask = stack_mask(cpu);
  const unsigned level = op.aux;
  push(cpu, &op, cpu.reg<T>(gpr_slot(RBP)), sizeof(T));
  const u64 frame = cpu.gpr(RSP);
  u64 display = cpu.gpr(RBP);
  for (unsigned i = 1; i < level; ++i) {
    display = (display - sizeof(T)) & mask;
    const u64 linear = linear_in_segment(cpu, SS, display, sizeof(T), false);
    push(cpu, &op, read_linear<T>(cpu, &op, linear, Privilege::current, true), sizeof(T));
  }
  if (level > 0) push(cpu, &op, static_cast<T>(frame), sizeof(T));
  const u64 top = (stack_pointer(cpu) - (op.imm & 0xffff)) & mask;
  require_writable(cpu, &op, linear_in_segment(cpu, SS, top, sizeof(T), true), sizeof(T), Privilege::current, true);
  set_stack_pointer(cpu, top);
  cpu.set_reg<T>(gpr_slot(RBP), static_cast<T>(frame));
  guard.commit();
}

// RSP goes on the stack as it was before.
template <class T>
void pusha(Vcpu& cpu, const Op& op) {
  StackGuard guard(cpu);
  const T before = cpu.reg<T>(gpr_slot(RSP));
  for (unsigned n = 0; n < 8; ++n) push(cpu, &op, n == RSP ? before : cpu.reg<T>(gpr_slot(n)), sizeof(T));
  guard.commit();
}

template <class T>
void popa(Vcpu& cpu, const Op& op) {
  StackGuard guard(cpu);
  std::array<T, 8> values{};
  for (unsigned n = 8; n-- > 0;) values[n] = static_cast<T>(pop(cpu, &op, sizeof(T)));
  for (unsigned n = 0; n < 8; ++n) {
    if (n != RSP) cpu.set_reg<T>(gpr_slot(n), values[n]);
  }
  guard.commit();
}

}  // namespace

template <>
Handler lower<Operation::ENTER>(const Instruction& instruction, Op& op, LowerContext&) {
  op.aux = static_cast<u8>(instruction.immediate2 & 31);
  return by_size(instruction.operand_bytes, nullptr, &cold<enter<u16>>, &cold<enter<u32>>, &cold<enter<u64>>);
}

template <>
Handler lower<Operation::PUSHA>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &cold<pusha<u16>>, &cold<pusha<u32>>, nullptr);
}

template <>
Handler lower<Operation::POPA>(const Instruction& instruction, Op&, LowerContext&) {
  return by_size(instruction.operand_bytes, nullptr, &cold<popa<u16>>, &cold<popa<u32>>, nullptr);
}

}  // namespace rondo::software
