// A stack that is not, or not yet, the current one: what gates, interrupts and returns push to and pop from. Offsets
// wrap at the stack's address size; nothing of the vCPU changes until the caller takes over pointer().
#pragma once

#include "core/software/system/segment.h"
#include "core/software/system/system_memory.h"

namespace rondo::software {

class StackCursor {
 public:
  // address_bytes: how much of the pointer counts: 8 in 64-bit mode, else 4 or 2 by SS.B. `error`: of #SS if the
  // segment's limit is exceeded.
  StackCursor(Vcpu& cpu, const Op* op, const Segment& ss, u64 pointer, unsigned address_bytes, u32 error = 0)
      : cpu_(cpu), op_(op), ss_(ss), pointer_(pointer), address_bytes_(address_bytes), error_(error) {}
  // The current stack.
  StackCursor(Vcpu& cpu, const Op* op) : StackCursor(cpu, op, cpu.arch.segment[SS], cpu.gpr(RSP), cpu.stack_bytes()) {}

  void push(u64 value, unsigned bytes);
  u64 pop(unsigned bytes);
  // The value at `offset` bytes above the pointer.
  u64 peek(u64 offset, unsigned bytes) const;
  void skip(u64 bytes) { move(bytes); }
  // The new RSP: bits that the stack's address size does not cover are those of the old one (SDM 1 6.2.3).
  u64 pointer() const { return pointer_; }

 private:
  u64 linear(u64 pointer, unsigned bytes) const;
  u64 moved(u64 by) const;
  void move(u64 by) { pointer_ = moved(by); }

  Vcpu& cpu_;
  const Op* op_;
  Segment ss_;
  u64 pointer_;
  unsigned address_bytes_;
  u32 error_;
};

inline unsigned stack_address_bytes(const Segment& ss) { return ss.db ? 4 : 2; }

}  // namespace rondo::software
