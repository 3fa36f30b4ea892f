// Guest memory as handlers see it: linear loads and stores, segmented operands, the stack.
//
// Two families over one slow path:
//   load<T>, store<T>        hot: return a status, never throw. For handlers.
//   read<T>, write<T>, ...   cold: throw Fault. For bodies run under cold() (ops/handler.h).
#pragma once

#include <cstring>

#include "core/software/vcpu.h"

namespace rondo::software {

enum class MemStatus : u64 {
  ok,
  leave,  // done, but the driver must look before the next instruction (a device was touched, code or a page table changed)
  fault   // not done; Vcpu::fault says why
};

template <class T>
struct Loaded {
  T value;
  MemStatus status;
};

// Who accesses: the program at its CPL, or the processor on its own behalf (descriptor tables, TSS: always supervisor).
enum class Privilege : u8 { current, system };

// --- Slow path (access.cpp): page walks, page crossings, devices, watched pages, alignment checks, breakpoints. `op` may be null in delivery
// of events; otherwise it names the Moment for devices. value/bytes up to 16.
MemStatus load_slow(Vcpu& cpu, const Op* op, u64 linear, unsigned size, void* out, Privilege privilege, bool stack_segment);
MemStatus store_slow(Vcpu& cpu, const Op* op, u64 linear, unsigned size, const void* in, Privilege privilege, bool stack_segment);
// Checks that a store of this size would succeed (sets the dirty bits), without storing.
MemStatus probe_store(Vcpu& cpu, const Op* op, u64 linear, unsigned size, Privilege privilege, bool stack_segment);

// A run of stores to [host, host + size), within one watched page, is about to be done directly: what was derived from these bytes goes first. If the running
// block must be left, cpu.attention says so.
void prepare_bulk_store(Vcpu& cpu, u8* host, unsigned size);
inline constexpr unsigned kBulkStore = 64;  // shorter runs are stored one by one

// Outside 64-bit mode and for unusual address sizes: the linear address of an operand after all segment checks.
struct LinearAddress {
  u64 value;
  bool ok;  // false: Vcpu::fault is set
};
LinearAddress checked_linear(Vcpu& cpu, const Op* op, unsigned size, bool write);
// The same for an explicit segment and offset (string instructions, stack, far pointers). In 64-bit mode only canonicality matters (checked later)
// and FS/GS bases are added.
LinearAddress segment_linear(Vcpu& cpu, unsigned segment, u64 offset, unsigned size, bool write);

[[gnu::noinline]] Loaded<u64> load_slow_value(Vcpu& cpu, const Op* op, u64 linear, unsigned size);
[[gnu::noinline]] Loaded<u64> load_checked_value(Vcpu& cpu, const Op* op, unsigned size);
[[gnu::noinline]] MemStatus store_slow_value(Vcpu& cpu, const Op* op, u64 linear, unsigned size, u64 value);
[[gnu::noinline]] MemStatus store_checked_value(Vcpu& cpu, const Op* op, unsigned size, u64 value);

// Whether a fault on this operand is #SS instead of #GP.
inline bool uses_stack_segment(const Op* op) {
  return op && (op->segment == segment_slot(SS) || (op->segment == kSlotZero && (op->base == gpr_slot(RSP) || op->base == gpr_slot(RBP))));
}

// The offset within the segment (what LEA computes before truncation); only for op->ea == 0.
[[gnu::always_inline]] inline u64 flat_offset(const Vcpu& cpu, const Op* op) {
  return cpu.reg<u64>(op->base) + (cpu.reg<u64>(op->index) << op->scale) + static_cast<u64>(static_cast<i64>(op->disp));
}
[[gnu::always_inline]] inline u64 flat_linear(const Vcpu& cpu, const Op* op) { return flat_offset(cpu, op) + cpu.reg<u64>(op->segment); }
// The offset for any op->ea, truncated to the address size.
u64 effective_offset(const Vcpu& cpu, const Op* op);

// --- Hot: T is u8, u16, u32 or u64.

[[gnu::always_inline]] inline bool tlb_hit(const Vcpu& cpu, u64 tag, u64 linear, unsigned size) {
  // Comparing the page of the last byte rejects accesses that cross into the next page.
  return (((linear + size - 1) & ~kPageMask) | cpu.tlb_context) == tag;
}

template <class T>
[[gnu::always_inline]] inline Loaded<T> load_linear(Vcpu& cpu, const Op* op, u64 linear) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) [[likely]] {
    T value;
    std::memcpy(&value, reinterpret_cast<const void*>(linear + entry.host_delta), sizeof value);
    return {value, MemStatus::ok};
  }
  const Loaded<u64> slow = load_slow_value(cpu, op, linear, sizeof(T));
  return {static_cast<T>(slow.value), slow.status};
}

template <class T>
[[gnu::always_inline]] inline MemStatus store_linear(Vcpu& cpu, const Op* op, u64 linear, T value) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) [[likely]] {
    std::memcpy(reinterpret_cast<void*>(linear + entry.host_delta), &value, sizeof value);
    return MemStatus::ok;
  }
  return store_slow_value(cpu, op, linear, sizeof(T), value);
}

// The memory operand of an instruction.
template <class T>
[[gnu::always_inline]] inline Loaded<T> load(Vcpu& cpu, const Op* op) {
  if (op->ea == 0) [[likely]] return load_linear<T>(cpu, op, flat_linear(cpu, op));
  const Loaded<u64> slow = load_checked_value(cpu, op, sizeof(T));
  return {static_cast<T>(slow.value), slow.status};
}

template <class T>
[[gnu::always_inline]] inline MemStatus store(Vcpu& cpu, const Op* op, T value) {
  if (op->ea == 0) [[likely]] return store_linear<T>(cpu, op, flat_linear(cpu, op), value);
  return store_checked_value(cpu, op, sizeof(T), value);
}

// Read-modify-write operands: load_for_update faults as a write would (write permission, dirty bit) before anything changes, so the store that
// follows cannot fault. Returns through the same slow path when the page is not plainly writable.
Loaded<u64> load_for_update_slow(Vcpu& cpu, const Op* op, unsigned size);
template <class T>
[[gnu::always_inline]] inline Loaded<T> load_for_update(Vcpu& cpu, const Op* op) {
  if (op->ea == 0) [[likely]] {
    const u64 linear = flat_linear(cpu, op);
    const TlbEntry& entry = cpu.tlb->at(linear);
    if (tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) [[likely]] {
      T value;
      std::memcpy(&value, reinterpret_cast<const void*>(linear + entry.host_delta), sizeof value);
      return {value, MemStatus::ok};
    }
  }
  const Loaded<u64> slow = load_for_update_slow(cpu, op, sizeof(T));
  return {static_cast<T>(slow.value), slow.status};
}

// --- Cold: throw Fault. T is any trivially copyable type of up to 16 bytes.

void read_bytes(Vcpu& cpu, const Op* op, u64 linear, void* out, unsigned size, Privilege privilege = Privilege::current, bool stack = false);
void write_bytes(Vcpu& cpu, const Op* op, u64 linear, const void* in, unsigned size, Privilege privilege = Privilege::current, bool stack = false);
// Throws what a store would throw, without storing. Any size.
void require_writable(Vcpu& cpu, const Op* op, u64 linear, unsigned size, Privilege privilege = Privilege::current, bool stack = false);

template <class T>
T read_linear(Vcpu& cpu, const Op* op, u64 linear, Privilege privilege = Privilege::current, bool stack = false) {
  T value;
  read_bytes(cpu, op, linear, &value, sizeof value, privilege, stack);
  return value;
}
template <class T>
void write_linear(Vcpu& cpu, const Op* op, u64 linear, const T& value, Privilege privilege = Privilege::current, bool stack = false) {
  write_bytes(cpu, op, linear, &value, sizeof value, privilege, stack);
}

// The linear address of the instruction's memory operand (of `size` bytes), all segment checks done.
u64 operand_linear(Vcpu& cpu, const Op* op, unsigned size, bool write);
template <class T>
T read_operand(Vcpu& cpu, const Op* op) {
  return read_linear<T>(cpu, op, operand_linear(cpu, op, sizeof(T), false), Privilege::current, uses_stack_segment(op));
}
template <class T>
void write_operand(Vcpu& cpu, const Op* op, const T& value) {
  write_linear<T>(cpu, op, operand_linear(cpu, op, sizeof(T), true), value, Privilege::current, uses_stack_segment(op));
}
// segment:offset with checks; throws.
u64 linear_in_segment(Vcpu& cpu, unsigned segment, u64 offset, unsigned size, bool write);

// --- Stack (SDM 1 6.2): offsets wrap at the stack's size; RSP changes only after the access succeeded.
u64 stack_pointer(const Vcpu& cpu);
void set_stack_pointer(Vcpu& cpu, u64 value);  // keeps the upper bits that the stack size does not cover
void push(Vcpu& cpu, const Op* op, u64 value, unsigned size);
u64 pop(Vcpu& cpu, const Op* op, unsigned size);

}  // namespace rondo::software
