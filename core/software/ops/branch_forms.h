// Near branches (SDM 1 7.3.8): direct ones follow the block's links, indirect ones the jump cache.
#pragma once

#include "core/software/block.h"
#include "core/software/ops/handler.h"
#include "core/software/ops/lower.h"

namespace rondo::software {

// A direct branch carries its displacement from the next instruction in Op::disp and, once its block is in place, a pointer to the block's two Links in
// Op::imm: [0] taken or only successor, [1] not taken.
inline Link* links_of(const Op* op) { return reinterpret_cast<Link*>(op->imm); }

// Through the jump cache, remembering the block in the link; or through the driver.
const Op* follow_slow(Vcpu& cpu, Link* link, u64 rip, bool same_page);

// 64-bit code: goes on `delta` bytes from the block's start. SamePage: that is in the page in which the block lies.
template <bool SamePage, Handler... likely>
[[gnu::always_inline]] inline const Op* follow(Vcpu& cpu, Link* link, i64 delta) {
  const u64 rip = cpu.slots[kSlotRip / 8] + static_cast<u64>(delta);
  if (link->stamp == (SamePage ? cpu.code_generation : cpu.code_epoch)) [[likely]] {
    cpu.slots[kSlotRip / 8] = rip;
    return enter<likely...>(cpu, link->target);
  }
  return follow_slow(cpu, link, rip, SamePage);
}

template <bool SamePage, Handler... likely>
[[gnu::always_inline]] inline const Op* follow_taken(Vcpu& cpu, const Op* op) {
  return follow<SamePage, likely...>(cpu, &links_of(op)[0], i64{op->disp} + op->next_offset);
}

// SamePage speaks of both successors.
template <bool SamePage>
[[gnu::always_inline]] inline const Op* branch_if(Vcpu& cpu, const Op* op, bool taken) {
  if (taken) return follow_taken<SamePage>(cpu, op);
  return follow<SamePage>(cpu, &links_of(op)[1], op->next_offset);
}

// *op has retired and execution goes on at `rip`, through the driver. Returns nullptr.
const Op* leave_to(Vcpu& cpu, const Op* op, u64 rip);

// 16- and 32-bit code: EIP is truncated to the operand size and checked against the limit.
const Op* branch_legacy(Vcpu& cpu, const Op* op, u64 rip);
inline u64 legacy_target(const Vcpu& cpu, const Op* op) {
  const u64 rip = cpu.slots[kSlotRip / 8] + op->next_offset + static_cast<u64>(i64{op->disp});
  return rip & (op->aux == 2 ? 0xffff : 0xffffffff);
}

// Which form of a direct branch at `instruction` fits (see LowerContext).
bool successors_in_page(const Instruction& instruction, const LowerContext& context);

}  // namespace rondo::software
