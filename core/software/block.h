// Decoded blocks: straight-line code from one entry to the first instruction that may transfer control, predecoded into Ops.
#pragma once

#include "core/software/op.h"
#include "core/software/vcpu.h"
#include "decoder/instruction.h"

namespace rondo::software {

// Everything beside the bytes that decides how they are decoded and lowered.
struct CodeKey {
  decoder::CodeMode mode = decoder::CodeMode::bits16;
  bool stack32 = false;   // SS.B outside 64-bit mode
  u64 base = 0;           // CS base, zero in 64-bit mode: RIP + base is the linear address

  u8 packed() const { return static_cast<u8>(static_cast<u8>(mode) << 1 | (stack32 ? 1 : 0)); }
  bool operator==(const CodeKey&) const = default;

  static CodeKey of(const Vcpu& cpu) {
    if (cpu.code64()) return {decoder::CodeMode::bits64, false, 0};
    const auto mode = cpu.arch.segment[CS].db ? decoder::CodeMode::bits32 : decoder::CodeMode::bits16;
    return {mode, cpu.arch.segment[SS].db, cpu.arch.segment[CS].base};
  }
};

struct Block;

// Where a direct branch goes, once known. Valid while `stamp` equals Vcpu::code_generation (target in the same page: the page is mapped as long as we run
// in it) or Vcpu::code_epoch (another page).
struct Link {
  Block* target = nullptr;
  u64 stamp = 0;
};

inline constexpr unsigned kMaxBlockInstructions = 64;

struct alignas(sizeof(Op)) Block {
  u64 physical = 0;         // of the first byte
  u64 second_page = 0;      // physical page of the bytes after a page boundary, for a block of one crossing instruction
  Block* hash_next = nullptr;
  Block* page_next[2] = {nullptr, nullptr};  // in the lists of the pages it lies in
  Link links[2];            // taken or only successor; not taken, or after the return from a call
  // Beside the first Op, since entering the block needs both.
  alignas(16) u16 bytes = 0;
  u8 key = 0;               // CodeKey::packed
  u8 count = 0;             // instructions
  bool crosses = false;

  // The Ops follow the block in memory: `count` of them and possibly one to fall through.
  Op* ops() { return reinterpret_cast<Op*>(this + 1); }
};
static_assert(sizeof(Block) % alignof(Op) == 0);

// Within a page a link outlives changes of the mapping; a target that crosses into the next page must not.
inline void set_link(const Vcpu& cpu, Link& link, Block* target, bool same_page) {
  if (!same_page || !target->crosses) link = {target, same_page ? cpu.code_generation : cpu.code_epoch};
}

// Finds blocks by RIP while nothing about the mapping of code changes.
struct JumpEntry {
  u64 rip = 0;
  u64 epoch = 0;  // Vcpu::code_epoch is never zero
  Block* block = nullptr;
};
inline constexpr u64 kJumpCacheSize = 16384;
inline u64 jump_index(u64 rip) { return (rip ^ rip >> 12) & (kJumpCacheSize - 1); }

// Continues with a block at slots[kSlotRip], or leaves if it does not fit before the stop count.
template <Handler... likely>
[[gnu::always_inline]] inline const Op* enter(Vcpu& cpu, Block* block) {
  const i64 rest = cpu.remaining - block->count;
  if (rest < 0) [[unlikely]] {
    cpu.rip = cpu.slots[kSlotRip / 8];
    cpu.leave = Leave::budget;
    return nullptr;
  }
  cpu.remaining = rest;
  return dispatch<likely...>(cpu, block->ops());
}

// Continues at `rip` through the jump cache, or through the driver.
template <Handler... likely>
[[gnu::always_inline]] inline const Op* enter_at(Vcpu& cpu, u64 rip) {
  const JumpEntry& entry = cpu.jump_cache[jump_index(rip)];
  if (entry.rip == rip && entry.epoch == cpu.code_epoch) [[likely]] {
    cpu.slots[kSlotRip / 8] = rip;
    return enter<likely...>(cpu, entry.block);
  }
  cpu.rip = rip;
  cpu.leave = Leave::lookup;
  return nullptr;
}

}  // namespace rondo::software
