// XCHG, XADD, CMPXCHG (SDM 2A, 2B). LOCK and the implicit lock of XCHG need nothing: instructions are atomic here.
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

// Each computes the new r/m operand from the old one and then, in commit(), changes registers and flags.
struct Xchg {
  template <class T>
  static T replace(const Vcpu& cpu, const Op* op, T) {
    return cpu.reg<T>(op->src);
  }
  template <class T>
  static void commit(Vcpu& cpu, const Op* op, T old) {
    cpu.set_reg<T>(op->src, old);
  }
};

struct Xadd {
  template <class T>
  static T replace(const Vcpu& cpu, const Op* op, T old) {
    return static_cast<T>(old + cpu.reg<T>(op->src));
  }
  template <class T>
  static void commit(Vcpu& cpu, const Op* op, T old) {
    set_flags(cpu, alu_add(old, cpu.reg<T>(op->src)).flags);
    cpu.set_reg<T>(op->src, old);
  }
};

// Memory is written in any case: with the old value if the comparison fails. The accumulator is written only then.
struct Cmpxchg {
  template <class T>
  static T replace(const Vcpu& cpu, const Op* op, T old) {
    return cpu.reg<T>(gpr_slot(RAX)) == old ? cpu.reg<T>(op->src) : old;
  }
  template <class T>
  static void commit(Vcpu& cpu, const Op*, T old) {
    const T accumulator = cpu.reg<T>(gpr_slot(RAX));
    set_flags(cpu, alu_sub(accumulator, old).flags);
    if (accumulator != old) cpu.set_reg<T>(gpr_slot(RAX), old);
  }
};

template <class T, class F>
[[gnu::noinline]] const Op* exchange_m_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> old = load_for_update<T>(cpu, op);
  if (old.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const MemStatus stored = store<T>(cpu, op, F::template replace<T>(cpu, op, old.value));
  if (stored == MemStatus::fault) return leave_with_fault(cpu, op);
  F::template commit<T>(cpu, op, old.value);
  return finish(cpu, op, worse(old.status, stored));
}

template <class T, class F>
const Op* exchange_m(Vcpu& cpu, const Op* op) {
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) [[unlikely]]
    return exchange_m_slow<T, F>(cpu, op);
  void* host = host_of(entry, linear);
  const T old = host_load<T>(host);
  host_store<T>(host, F::template replace<T>(cpu, op, old));
  F::template commit<T>(cpu, op, old);
  return next(cpu, op);
}

template <class T>
const Op* xchg_rr(Vcpu& cpu, const Op* op) {
  const T a = cpu.reg<T>(op->dst), b = cpu.reg<T>(op->src);
  cpu.set_reg<T>(op->dst, b);
  cpu.set_reg<T>(op->src, a);
  return next(cpu, op);
}

// XADD r, r with one register twice leaves the sum (SDM 2B, XADD).
template <class T>
const Op* xadd_rr(Vcpu& cpu, const Op* op) {
  const AluResult<T> r = alu_add(cpu.reg<T>(op->dst), cpu.reg<T>(op->src));
  cpu.set_reg<T>(op->src, cpu.reg<T>(op->dst));
  cpu.set_reg<T>(op->dst, r.value);
  set_flags(cpu, r.flags);
  return next(cpu, op);
}

template <class T>
const Op* cmpxchg_rr(Vcpu& cpu, const Op* op) {
  const T accumulator = cpu.reg<T>(gpr_slot(RAX)), old = cpu.reg<T>(op->dst);
  if (accumulator == old)
    cpu.set_reg<T>(op->dst, cpu.reg<T>(op->src));
  else
    cpu.set_reg<T>(gpr_slot(RAX), old);
  set_flags(cpu, alu_sub(accumulator, old).flags);
  return next(cpu, op);
}

template <class F>
Handler memory_form(unsigned bytes, const Op& op) {
  return op.ea ? by_size(bytes, &exchange_m_slow<u8, F>, &exchange_m_slow<u16, F>, &exchange_m_slow<u32, F>,
                         &exchange_m_slow<u64, F>)
               : by_size(bytes, &exchange_m<u8, F>, &exchange_m<u16, F>, &exchange_m<u32, F>, &exchange_m<u64, F>);
}

}  // namespace

template <>
Handler lower<Operation::XCHG>(const Instruction& instruction, Op& op, LowerContext&) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (form == Form::rr) return by_size(bytes, &xchg_rr<u8>, &xchg_rr<u16>, &xchg_rr<u32>, &xchg_rr<u64>);
  return form == Form::mr ? memory_form<Xchg>(bytes, op) : nullptr;
}

template <>
Handler lower<Operation::XADD>(const Instruction& instruction, Op& op, LowerContext&) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (form == Form::rr) return by_size(bytes, &xadd_rr<u8>, &xadd_rr<u16>, &xadd_rr<u32>, &xadd_rr<u64>);
  return form == Form::mr ? memory_form<Xadd>(bytes, op) : nullptr;
}

template <>
Handler lower<Operation::CMPXCHG>(const Instruction& instruction, Op& op, LowerContext&) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (form == Form::rr) return by_size(bytes, &cmpxchg_rr<u8>, &cmpxchg_rr<u16>, &cmpxchg_rr<u32>, &cmpxchg_rr<u64>);
  return form == Form::mr ? memory_form<Cmpxchg>(bytes, op) : nullptr;
}

}  // namespace rondo::software
