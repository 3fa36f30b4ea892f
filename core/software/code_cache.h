// The block cache: blocks by physical address and mode, dropped when a store touches their bytes.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/memory/physical_memory.h"
#include "core/software/block.h"
#include "core/software/tlb.h"

namespace rondo::software {

class CodeCache {
 public:
  CodeCache(PhysicalMemory& memory, Tlb& tlb);
  ~CodeCache();
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  // What Vcpu::code_epoch must be in this translation context, for code fetched with user or supervisor rights.
  u64 epoch_of(u64 context, bool user) const { return (generation_ + mapping_[user] + 1) << 12 | context; }
  u64 generation() const { return generation_ + 1; }
  // The mode of the code that runs now. A change of what RIP means starts a new epoch.
  void select_mode(const CodeKey& key);
  const CodeKey& mode() const { return key_; }
  // Linear-to-physical mappings of code that was fetched with these rights may have changed. Kept apart because processes come and go, and with them their
  // text, while the kernel's stays.
  void mapping_changed(bool user) { ++mapping_[user]; }
  // Also lets context numbers be used again: no epoch from now on equals an earlier one, whoever's it was.
  void all_mappings_changed() { mapping_[0] = mapping_[1] = std::max(mapping_[0], mapping_[1]) + 1; }

  // The block that starts at this physical address in the current mode, or null. There may be several if the instruction there crosses into the next linear
  // page: find() gives any of them, find_crossing() the one that goes on in `second_page`.
  Block* find(u64 physical) const;
  Block* find_crossing(u64 physical, u64 second_page) const;
  // Makes room for a block with `op_count` Ops and registers it; its pages are watched from now on. The caller fills the Ops.
  Block* add(u64 physical, u64 second_page, bool crosses, unsigned bytes, std::span<const Op> ops, unsigned count);

  // `size` bytes at `host` (within one page) are about to be stored to. Returns true if decoded code was dropped: the running block must be left.
  bool store(const u8* host, unsigned size);
  // Drops the blocks with an instruction at one of these page offsets, or with bytes around it.
  void drop_spanning(std::span<const u16> page_offsets);
  // Drops everything.
  void clear();
  u64 bytes_used() const { return bytes_used_; }

 private:
  struct Page {
    Block* first = nullptr;
    u64 lines = 0;  // bit per 64 bytes that hold decoded code
  };
  static u64 lines_of(u64 from, u64 length);
  Page& page_of(const u8* host) { return pages_[memory_.page_index(host)]; }
  void watch(const u8* host, u64 from, u64 length, Block* block, unsigned list);
  void unlink(Block* block);
  u64 bucket(u64 physical) const { return (physical ^ physical >> 14) & (kBuckets - 1); }

  static constexpr u64 kBuckets = 1 << 16;
  static constexpr u64 kArenaBytes = u64{48} << 20;
  PhysicalMemory& memory_;
  Tlb& tlb_;
  CodeKey key_;
  u64 generation_ = 0;
  u64 mapping_[2] = {0, 0};  // supervisor, user
  // Blocks lie one behind the other in one piece of memory: what runs after another is near it, and in few host pages. What was dropped stays (the running
  // block may be among it) until the arena is full and everything goes.
  u8* arena_;
  u64 bytes_used_ = 0;
  std::vector<Block*> buckets_;
  std::vector<u64> occupied_;  // bit per bucket: it may hold a block. Clearing an almost empty cache is cheap.
  Page* pages_;              // one per page of RAM, lazily backed
};

}  // namespace rondo::software
