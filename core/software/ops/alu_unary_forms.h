// One-operand integer instructions: f(r/m). F is as in alu_forms.h with `apply(Vcpu&, T a, const Op*)`: the Op brings
// an immediate count..
#pragma once

#include "core/software/ops/alu_forms.h"

namespace rondo::software {

template <class T, class F>
const Op* unary_r(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->dst, F::template apply<T>(cpu, cpu.reg<T>(op->dst), op));
  return next(cpu, op);
}

template <class T, class F>
[[gnu::noinline]] const Op* unary_m_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> a = load_for_update<T>(cpu, op);
  if (a.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const LazyFlags before = cpu.lazy;
  const MemStatus stored = store<T>(cpu, op, F::template apply<T>(cpu, a.value, op));
  if (stored == MemStatus::fault) {
    cpu.lazy = before;
    return leave_with_fault(cpu, op);
  }
  return finish(cpu, op, worse(a.status, stored));
}

template <class T, class F>
const Op* unary_m(Vcpu& cpu, const Op* op) {
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) [[unlikely]]
    return unary_m_slow<T, F>(cpu, op);
  void* host = host_of(entry, linear);
  host_store<T>(host, F::template apply<T>(cpu, host_load<T>(host), op));
  return next(cpu, op);
}

template <class T, class F>
Handler unary_handler(bool memory, const Op& op) {
  if (!memory) return &unary_r<T, F>;
  return op.ea ? &unary_m_slow<T, F> : &unary_m<T, F>;
}

// The operand is the first.
template <class F>
Handler lower_unary(const Instruction& instruction, Op& op) {
  const bool memory = is_memory(instruction.operands[0]);
  if (!memory) op.dst = slot_of(instruction.operands[0]);
  switch (instruction.operand_bytes) {
    case 1:
      return unary_handler<u8, F>(memory, op);
    case 2:
      return unary_handler<u16, F>(memory, op);
    case 4:
      return unary_handler<u32, F>(memory, op);
    case 8:
      return unary_handler<u64, F>(memory, op);
    default:
      return nullptr;
  }
}

}  // namespace rondo::software
