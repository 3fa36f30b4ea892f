// CMPS and SCAS (SDM 2A, 2B). Both compare a left value with [rDI]: CMPS takes it from [rSI], SCAS from the
// accumulator.
//
// The flags are those of the last comparison, also where a fault interrupts a repetition: AMD's processors do it so.
// (SDM 2B, REP restores the flags from before the instruction; they are not an input, so that nothing but the saved
// image could tell.)
#include <algorithm>

#include "core/software/ops/string_address.h"

namespace rondo::software {
namespace {

template <class T>
struct Compared {
  u64 elements;
  T left;  // of the last element compared
  T right;
};

template <class T>
bool goes_on(Repeat repeat, T left, T right) {
  return repeat == Repeat::while_equal ? left == right : left != right;
}

// Compares up to and including the first element that ends the repetition. n is not zero.
template <class T>
Compared<T> compare_run(const u8* left, i64 left_step, const u8* right, i64 right_step, u64 n, Repeat repeat) {
  for (u64 i = 1;; ++i) {
    const T a = host_load<T>(left), b = host_load<T>(right);
    if (i == n || !goes_on(repeat, a, b)) return {i, a, b};
    left += left_step;
    right += right_step;
  }
}

template <class T, bool Scan>
void compare(Vcpu& cpu, const Op& op) {
  StringWalk walk(cpu, op);
  const T accumulator = cpu.reg<T>(gpr_slot(RAX));
  u8 constant[sizeof(T)];
  std::memcpy(constant, &accumulator, sizeof constant);

  const auto advance = [&](u64 n) {
    if constexpr (!Scan) walk.advance_source(n, sizeof(T));
    walk.advance_destination(n, sizeof(T));
  };
  const auto element = [&]() -> Compared<T> {
    T left = accumulator;
    if constexpr (!Scan) left = string_load<T>(cpu, op, walk.source(sizeof(T)));
    const T right = string_load<T>(cpu, op, walk.destination(sizeof(T), false));
    return {1, left, right};
  };
  const auto stretch = [&](u64 want) -> Compared<T> {
    const Run right = walk.destination_run(sizeof(T), want, false);
    if (right.elements == 0) return element();
    const i64 step = walk.down() ? -static_cast<i64>(sizeof(T)) : static_cast<i64>(sizeof(T));
    if constexpr (Scan) return compare_run<T>(constant, 0, right.host, step, right.elements, walk.repeat());
    const Run left = walk.source_run(sizeof(T), right.elements);
    if (left.elements == 0) return element();
    return compare_run<T>(left.host, step, right.host, step, left.elements, walk.repeat());
  };

  if (walk.repeat() == Repeat::none) {
    const Compared<T> c = element();
    set_flags(cpu, alu_sub(c.left, c.right).flags);
    return advance(1);
  }
  u64 count = walk.count();
  const EventWatch event(cpu);
  for (u64 budget = string_budget(cpu); count != 0;) {
    const Compared<T> c = stretch(std::min(count, budget));
    advance(c.elements);
    count -= c.elements;
    budget -= c.elements;
    walk.set_count(count);
    set_flags(cpu, alu_sub(c.left, c.right).flags);
    if (count == 0 || !goes_on(walk.repeat(), c.left, c.right)) return;
    if (budget == 0 || cpu.arch.pending_debug || event.seen()) return leave_unfinished_string(cpu);
  }
}

template <class T>
const Op* scas_flat(Vcpu& cpu, const Op* op) {
  const Loaded<T> right = load_linear<T>(cpu, op, cpu.gpr(RDI));
  if (right.status == MemStatus::fault) return leave_with_fault(cpu, op);
  set_flags(cpu, alu_sub(cpu.reg<T>(gpr_slot(RAX)), right.value).flags);
  cpu.gpr(RDI) += string_step(cpu, sizeof(T));
  return finish(cpu, op, right.status);
}

template <class T>
const Op* cmps_flat(Vcpu& cpu, const Op* op) {
  const Loaded<T> left = load_linear<T>(cpu, op, cpu.gpr(RSI) + cpu.reg<u64>(op->segment));
  if (left.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const Loaded<T> right = load_linear<T>(cpu, op, cpu.gpr(RDI));
  if (right.status == MemStatus::fault) return leave_with_fault(cpu, op);
  set_flags(cpu, alu_sub(left.value, right.value).flags);
  const u64 step = string_step(cpu, sizeof(T));
  cpu.gpr(RSI) += step;
  cpu.gpr(RDI) += step;
  return finish(cpu, op, worse(left.status, right.status));
}

bool plain_flat(const Op& op) { return StringOp::unpack(op.aux).repeat == Repeat::none && flat_string(op); }

}  // namespace

template <>
Handler lower<Operation::CMPS>(const Instruction& instruction, Op& op, LowerContext&) {
  set_string(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (plain_flat(op)) return by_size(bytes, &cmps_flat<u8>, &cmps_flat<u16>, &cmps_flat<u32>, &cmps_flat<u64>);
  return by_size(bytes, &cold<compare<u8, false>>, &cold<compare<u16, false>>, &cold<compare<u32, false>>,
                 &cold<compare<u64, false>>);
}

template <>
Handler lower<Operation::SCAS>(const Instruction& instruction, Op& op, LowerContext&) {
  set_string(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (plain_flat(op)) return by_size(bytes, &scas_flat<u8>, &scas_flat<u16>, &scas_flat<u32>, &scas_flat<u64>);
  return by_size(bytes, &cold<compare<u8, true>>, &cold<compare<u16, true>>, &cold<compare<u32, true>>,
                 &cold<compare<u64, true>>);
}

}  // namespace rondo::software
