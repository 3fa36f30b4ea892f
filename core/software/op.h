// A predecoded operation: what the interpreter executes. One guest instruction becomes one Op (a fused pair still occupies two).
#pragma once

#include "core/base/types.h"

namespace rondo::software {

struct Vcpu;
struct Op;

// Executes *op and returns where to go on: by tail call to the next Op's handler where the build guarantees sibling calls, else by
// returning the next Op to the trampoline (see next() in ops/handler.h). nullptr: execution left the block; Vcpu says why.
using Handler = const Op* (*)(Vcpu& cpu, const Op* op);

// Registers are named by their byte offset into Vcpu::slots, so that AH is simply offset 1.
using SlotOffset = u8;
inline constexpr SlotOffset gpr_slot(unsigned reg) { return static_cast<SlotOffset>(8 * reg); }
inline constexpr SlotOffset kSlotRip = 16 * 8;      // RIP (not linear) of the block's first instruction
inline constexpr SlotOffset kSlotZero = 17 * 8;     // always zero: no base, no index, no segment base
inline constexpr SlotOffset segment_slot(unsigned segment) { return static_cast<SlotOffset>(18 * 8 + 8 * segment); }
inline constexpr unsigned kSlotCount = 24;

// Why an address needs more than base + index * scale + displacement + segment base. Zero for all of flat 64-bit code.
enum EaFlag : u8 {
  kEaSegmented = 1,   // outside 64-bit mode: limit and type checks, 32-bit linear addresses
  kEaAddress32 = 2,   // effective address truncated to 32 bits
  kEaAddress16 = 4,   // ... to 16 bits
  kEaAbsolute64 = 8,  // moffs: the offset is Op::imm
  kEaRipWide = 16     // RIP-relative with a displacement that does not fit beside next_offset
};

struct Op {
  Handler handler;
  u64 imm;            // immediate (sign-extended), or a pointer to the block's links for direct branches
  i32 disp;           // displacement; RIP-relative ones already include next_offset
  SlotOffset dst;     // first register operand (XMM, MMX, ST, CR, DR and segment registers: plain numbers)
  SlotOffset src;     // second register operand
  SlotOffset base;
  SlotOffset index;
  SlotOffset segment; // slot of the segment base to add; outside 64-bit mode it also names the segment (segment_of)
  u8 scale;           // 0..3
  u8 ea;              // EaFlag bits
  u8 left;            // instructions left in the block, this one included
  u8 length;          // bytes
  u8 aux;             // the handler's own (a third register, a size)
  u16 next_offset;    // of the next instruction, from the block's start
};
static_assert(sizeof(Op) == 32, "two Ops to a cache line");

// Sibling calls are guaranteed by testing (tests/core/software/tail_call_test.cpp), at -O2 and without instrumentation.
#if defined(__OPTIMIZE__) && !defined(RONDO_SANITIZED)
#define RONDO_TAIL_CALLS 1
#else
#define RONDO_TAIL_CALLS 0
#endif

template <Handler... likely>
struct Dispatch {
  [[gnu::always_inline]] static const Op* to(Handler handler, Vcpu& cpu, const Op* op) { return handler(cpu, op); }
};
template <Handler first, Handler... others>
struct Dispatch<first, others...> {
  [[gnu::always_inline]] static const Op* to(Handler handler, Vcpu& cpu, const Op* op) {
    if (handler == first) return first(cpu, op);
    return Dispatch<others...>::to(handler, cpu, op);
  }
};

// Goes on with *op. `likely` are handlers to try one by one before the indirect jump (see ops/likely.h).
template <Handler... likely>
[[gnu::always_inline]] inline const Op* dispatch(Vcpu& cpu, const Op* op) {
#if RONDO_TAIL_CALLS
  return Dispatch<likely...>::to(op->handler, cpu, op);
#else
  (void)cpu;
  return op;
#endif
}

inline constexpr unsigned segment_of(const Op& op) { return (op.segment - segment_slot(0)) / 8u; }

}  // namespace rondo::software
