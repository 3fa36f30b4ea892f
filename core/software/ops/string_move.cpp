// MOVS, STOS and LODS (SDM 2A, 2B). The repeated forms work a page at a time wherever both sides are plain RAM.
#include <algorithm>

#include "core/software/ops/string_address.h"

namespace rondo::software {
namespace {

// Copies as the element-by-element loop would, in the direction of the walk: an overlap that the loop would feed back
// into itself is a pattern fill.
template <class T>
void copy_elements(u8* to, const u8* from, u64 n, bool down) {
  const u64 bytes = n * sizeof(T);
  if (!down) {
    if (to <= from || to >= from + bytes) {
      std::memmove(to, from, bytes);
    } else {
      for (u64 i = 0; i < bytes; i += sizeof(T)) host_store<T>(to + i, host_load<T>(from + i));
    }
    return;
  }
  const u64 below = bytes - sizeof(T);
  if (to >= from || from - to >= static_cast<i64>(bytes)) {
    std::memmove(to - below, from - below, bytes);
  } else {
    for (u64 i = 0; i <= below; i += sizeof(T)) host_store<T>(to - i, host_load<T>(from - i));
  }
}

template <class T>
void fill_elements(u8* to, T value, u64 n, bool down) {
  const u64 bytes = n * sizeof(T);
  if (down) to -= bytes - sizeof(T);
  if (sizeof(T) == 1 || value == static_cast<T>(static_cast<u8>(value) * (static_cast<T>(~T{0}) / 0xff))) {
    std::memset(to, static_cast<u8>(value), bytes);
  } else {
    for (u64 i = 0; i < bytes; i += sizeof(T)) host_store<T>(to + i, value);
  }
}

// Runs `step(want)`, which does 1..want elements and advances the address registers, until the count is used up. It is
// left between elements only for what does not depend on caches: a debug trap, an event, or after a fixed number. A store to
// decoded code, its own included, is looked at when the instruction is complete.
template <class Step>
void repeat(Vcpu& cpu, StringWalk& walk, Step step) {
  u64 count = walk.count();
  const EventWatch event(cpu);
  for (u64 budget = string_budget(cpu); count != 0;) {
    const u64 done = step(std::min(count, budget));
    count -= done;
    budget -= done;
    walk.set_count(count);
    if (count != 0 && (budget == 0 || cpu.arch.pending_debug || event.seen())) return leave_unfinished_string(cpu);
  }
}

template <class T>
void movs(Vcpu& cpu, const Op& op) {
  StringWalk walk(cpu, op);
  const auto element = [&] {
    const u64 from = walk.source(sizeof(T));
    const T value = string_load<T>(cpu, op, from);
    accept(cpu, store_linear<T>(cpu, &op, walk.destination(sizeof(T), true), value));
    walk.advance_source(1, sizeof(T));
    walk.advance_destination(1, sizeof(T));
  };
  if (walk.repeat() == Repeat::none) return element();
  repeat(cpu, walk, [&](u64 want) -> u64 {
    const Run to = walk.destination_run(sizeof(T), want, true);
    const Run from = to.elements ? walk.source_run(sizeof(T), to.elements) : to;
    if (from.elements == 0) {
      element();
      return 1;
    }
    copy_elements<T>(to.host, from.host, from.elements, walk.down());
    walk.advance_source(from.elements, sizeof(T));
    walk.advance_destination(from.elements, sizeof(T));
    return from.elements;
  });
}

template <class T>
void stos(Vcpu& cpu, const Op& op) {
  StringWalk walk(cpu, op);
  const T value = cpu.reg<T>(gpr_slot(RAX));
  const auto element = [&] {
    accept(cpu, store_linear<T>(cpu, &op, walk.destination(sizeof(T), true), value));
    walk.advance_destination(1, sizeof(T));
  };
  if (walk.repeat() == Repeat::none) return element();
  repeat(cpu, walk, [&](u64 want) -> u64 {
    const Run to = walk.destination_run(sizeof(T), want, true);
    if (to.elements == 0) {
      element();
      return 1;
    }
    fill_elements<T>(to.host, value, to.elements, walk.down());
    walk.advance_destination(to.elements, sizeof(T));
    return to.elements;
  });
}

template <class T>
void lods(Vcpu& cpu, const Op& op) {
  StringWalk walk(cpu, op);
  const auto element = [&] {
    cpu.set_reg<T>(gpr_slot(RAX), string_load<T>(cpu, op, walk.source(sizeof(T))));
    walk.advance_source(1, sizeof(T));
  };
  if (walk.repeat() == Repeat::none) return element();
  repeat(cpu, walk, [&](u64) -> u64 {
    element();
    return 1;
  });
}

// The plain forms in flat 64-bit code.
template <class T>
const Op* movs_flat(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = load_linear<T>(cpu, op, cpu.gpr(RSI) + cpu.reg<u64>(op->segment));
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const MemStatus stored = store_linear<T>(cpu, op, cpu.gpr(RDI), v.value);
  if (stored == MemStatus::fault) return leave_with_fault(cpu, op);
  const u64 step = string_step(cpu, sizeof(T));
  cpu.gpr(RSI) += step;
  cpu.gpr(RDI) += step;
  return finish(cpu, op, worse(v.status, stored));
}

template <class T>
const Op* stos_flat(Vcpu& cpu, const Op* op) {
  const MemStatus stored = store_linear<T>(cpu, op, cpu.gpr(RDI), cpu.reg<T>(gpr_slot(RAX)));
  if (stored == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.gpr(RDI) += string_step(cpu, sizeof(T));
  return finish(cpu, op, stored);
}

template <class T>
const Op* lods_flat(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = load_linear<T>(cpu, op, cpu.gpr(RSI) + cpu.reg<u64>(op->segment));
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.set_reg<T>(gpr_slot(RAX), v.value);
  cpu.gpr(RSI) += string_step(cpu, sizeof(T));
  return finish(cpu, op, v.status);
}

bool plain_flat(const Op& op) { return StringOp::unpack(op.aux).repeat == Repeat::none && flat_string(op); }

}  // namespace

template <>
Handler lower<Operation::MOVS>(const Instruction& instruction, Op& op, LowerContext&) {
  set_string(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (plain_flat(op)) return by_size(bytes, &movs_flat<u8>, &movs_flat<u16>, &movs_flat<u32>, &movs_flat<u64>);
  return by_size(bytes, &cold<movs<u8>>, &cold<movs<u16>>, &cold<movs<u32>>, &cold<movs<u64>>);
}

template <>
Handler lower<Operation::STOS>(const Instruction& instruction, Op& op, LowerContext&) {
  set_string(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (plain_flat(op)) return by_size(bytes, &stos_flat<u8>, &stos_flat<u16>, &stos_flat<u32>, &stos_flat<u64>);
  return by_size(bytes, &cold<stos<u8>>, &cold<stos<u16>>, &cold<stos<u32>>, &cold<stos<u64>>);
}

template <>
Handler lower<Operation::LODS>(const Instruction& instruction, Op& op, LowerContext&) {
  set_string(instruction, op);
  const unsigned bytes = instruction.operand_bytes;
  if (plain_flat(op)) return by_size(bytes, &lods_flat<u8>, &lods_flat<u16>, &lods_flat<u32>, &lods_flat<u64>);
  return by_size(bytes, &cold<lods<u8>>, &cold<lods<u16>>, &cold<lods<u32>>, &cold<lods<u64>>);
}

}  // namespace rondo::software
