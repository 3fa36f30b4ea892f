// CMPXCHG8B and CMPXCHG16B (SDM 2A): rDX:rAX against memory, rCX:rBX to store. Only ZF changes.
#include <array>

#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

template <class T>
using Pair = std::array<T, 2>;

void set_zf(Vcpu& cpu, bool zf) {
  set_flags(cpu, LazyFlags::from_rflags((cpu.lazy.to_rflags() & ~flags::ZF) | (zf ? flags::ZF : 0)));
}

// Memory is written in any case, so it must be writable. On a mismatch the accumulator pair takes its value.
template <class T>
void compare_exchange(Vcpu& cpu, const Op& op) {
  constexpr unsigned kSize = 2 * sizeof(T);
  const u64 linear = operand_linear(cpu, &op, kSize, true);
  if (sizeof(T) == 8 && (linear & (kSize - 1))) throw fault_gp();
  const bool stack = uses_stack_segment(&op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, kSize))
    require_writable(cpu, &op, linear, kSize, Privilege::current, stack);
  const auto old = read_linear<Pair<T>>(cpu, &op, linear, Privilege::current, stack);
  const Pair<T> expected{cpu.reg<T>(gpr_slot(RAX)), cpu.reg<T>(gpr_slot(RDX))};
  const Pair<T> wanted{cpu.reg<T>(gpr_slot(RBX)), cpu.reg<T>(gpr_slot(RCX))};
  const bool equal = old == expected;
  write_linear(cpu, &op, linear, equal ? wanted : old, Privilege::current, stack);
  if (!equal) {
    cpu.set_reg<T>(gpr_slot(RAX), old[0]);
    cpu.set_reg<T>(gpr_slot(RDX), old[1]);
  }
  set_zf(cpu, equal);
}

}  // namespace

template <>
Handler lower<Operation::CMPXCHG8B>(const Instruction& instruction, Op&, LowerContext&) {
  return is_memory(instruction.operands[0]) ? &cold<compare_exchange<u32>> : nullptr;
}

template <>
Handler lower<Operation::CMPXCHG16B>(const Instruction& instruction, Op&, LowerContext&) {
  return is_memory(instruction.operands[0]) ? &cold<compare_exchange<u64>> : nullptr;
}

}  // namespace rondo::software
