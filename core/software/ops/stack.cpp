// PUSH, POP, LEAVE: 64-bit fast forms here, everything else through access.h's push and pop (SDM 1 6.2).
#include "core/software/ops/likely.h"
#include "core/software/ops/stack_guard.h"

namespace rondo::software {
namespace {

template <class Source>
[[gnu::noinline]] const Op* push64_slow(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP) - 8;
  const MemStatus status = store_linear<u64>(cpu, op, linear, Source::template get<u64>(cpu, op));
  if (status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.gpr(RSP) = linear;
  return finish(cpu, op, status);
}

// The destination is written after RSP: POP RSP leaves the popped value there.
[[gnu::noinline]] const Op* pop64_slow(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP);
  const Loaded<u64> v = load_linear<u64>(cpu, op, linear);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.gpr(RSP) = linear + 8;
  cpu.set_reg<u64>(op->dst, v.value);
  return finish(cpu, op, v.status);
}

}  // namespace

template <class Source, class Then>
const Op* push64(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP) - 8;
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, 8)) [[unlikely]]
    return push64_slow<Source>(cpu, op);
  host_store<u64>(host_of(entry, linear), Source::template get<u64>(cpu, op));
  cpu.gpr(RSP) = linear;
  return Then::go(cpu, op);
}

template <class Then>
const Op* pop64(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, 8)) [[unlikely]]
    return pop64_slow(cpu, op);
  const u64 value = host_load<u64>(host_of(entry, linear));
  cpu.gpr(RSP) = linear + 8;
  cpu.set_reg<u64>(op->dst, value);
  return Then::go(cpu, op);
}

template const Op* push64<RegisterSource, AfterPush>(Vcpu&, const Op*);
template const Op* push64<RegisterSource>(Vcpu&, const Op*);
template const Op* pop64<AfterPop>(Vcpu&, const Op*);
template const Op* pop64<>(Vcpu&, const Op*);

namespace {

// LEAVE: RSP = RBP, POP RBP. The same as POP with another stack pointer.
[[gnu::noinline]] const Op* leave64_slow(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RBP);
  const Loaded<u64> v = load_linear<u64>(cpu, op, linear);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.gpr(RSP) = linear + 8;
  cpu.gpr(RBP) = v.value;
  return finish(cpu, op, v.status);
}

const Op* leave64(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RBP);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, 8)) [[unlikely]]
    return leave64_slow(cpu, op);
  cpu.gpr(RBP) = host_load<u64>(host_of(entry, linear));
  cpu.gpr(RSP) = linear + 8;
  return next(cpu, op);
}

template <class T>
void push_register(Vcpu& cpu, const Op& op) {
  push(cpu, &op, cpu.reg<T>(op.src), sizeof(T));
}
template <class T>
void push_immediate(Vcpu& cpu, const Op& op) {
  push(cpu, &op, static_cast<T>(op.imm), sizeof(T));
}
template <class T>
void push_memory(Vcpu& cpu, const Op& op) {
  push(cpu, &op, read_operand<T>(cpu, &op), sizeof(T));
}

template <class T>
void pop_register(Vcpu& cpu, const Op& op) {
  cpu.set_reg<T>(op.dst, static_cast<T>(pop(cpu, &op, sizeof(T))));
}

// An address that uses RSP sees it already incremented (SDM 2B, POP).
template <class T>
void pop_memory(Vcpu& cpu, const Op& op) {
  StackGuard guard(cpu);
  const T value = static_cast<T>(pop(cpu, &op, sizeof(T)));
  write_operand<T>(cpu, &op, value);
  guard.commit();
}

template <class T>
void leave_any(Vcpu& cpu, const Op& op) {
  StackGuard guard(cpu);
  set_stack_pointer(cpu, cpu.gpr(RBP));
  cpu.set_reg<T>(gpr_slot(RBP), static_cast<T>(pop(cpu, &op, sizeof(T))));
  guard.commit();
}

// Makes uses_stack_segment() true for operations without a memory operand.
void use_stack(Op& op, SlotOffset base) {
  op.base = base;
  op.index = kSlotZero;
  op.segment = kSlotZero;
  op.disp = 0;
}

}  // namespace

template <>
Handler lower<Operation::PUSH>(const Instruction& instruction, Op& op, LowerContext&) {
  const unsigned bytes = instruction.operand_bytes;
  const Operand& operand = instruction.operands[0];
  if (is_memory(operand)) {
    return by_size(bytes, nullptr, &cold<push_memory<u16>>, &cold<push_memory<u32>>, &cold<push_memory<u64>>);
  }
  use_stack(op, gpr_slot(RSP));
  if (is_register(operand)) {
    op.src = slot_of(operand);
    return by_size(bytes, nullptr, &cold<push_register<u16>>, &cold<push_register<u32>>, &push64<RegisterSource>);
  }
  return by_size(bytes, nullptr, &cold<push_immediate<u16>>, &cold<push_immediate<u32>>, &push64<ImmediateSource>);
}

template <>
Handler lower<Operation::POP>(const Instruction& instruction, Op& op, LowerContext&) {
  const unsigned bytes = instruction.operand_bytes;
  if (is_memory(instruction.operands[0])) {
    return by_size(bytes, nullptr, &cold<pop_memory<u16>>, &cold<pop_memory<u32>>, &cold<pop_memory<u64>>);
  }
  use_stack(op, gpr_slot(RSP));
  op.dst = slot_of(instruction.operands[0]);
  return by_size(bytes, nullptr, &cold<pop_register<u16>>, &cold<pop_register<u32>>, &pop64<>);
}

template <>
Handler lower<Operation::LEAVE>(const Instruction& instruction, Op& op, LowerContext&) {
  use_stack(op, gpr_slot(RBP));
  return by_size(instruction.operand_bytes, nullptr, &cold<leave_any<u16>>, &cold<leave_any<u32>>, &leave64);
}

}  // namespace rondo::software
