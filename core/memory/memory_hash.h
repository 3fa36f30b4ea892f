// The hash of a memory: a function of its contents and of nothing else.
//
// A page of zeros has no hash (16 zero bytes). Pages are hashed, then groups of 512 consecutive pages' hashes, then
// (index, hash) of the groups that are not all zero. So a change costs one page, one group and the short list of
// groups.
#pragma once

#include <span>

#include "core/memory/page_map.h"
#include "core/state/hash.h"

namespace rondo {

inline constexpr unsigned kGroupShift = 9;
inline constexpr u64 kGroupPages = u64{1} << kGroupShift;

bool is_zero_page(const u8* page);
Hash128 page_hash(const u8* page);
Hash128 group_hash(std::span<const Hash128, kGroupPages> pages);

// The last step: groups in order of their index. All-zero groups make no difference.
class MemoryHasher {
 public:
  void add_group(u64 index, const Hash128& hash);
  Hash128 digest() const { return hasher_.digest(); }

 private:
  Hasher hasher_;
};

// What PhysicalMemory::hash() says of a memory with these contents.
Hash128 memory_hash(const PageMap& pages);

}  // namespace rondo
