#include "core/memory/memory_hash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace rondo {
namespace {

constexpr Hash128 kNothing{};

}  // namespace

bool is_zero_page(const u8* page) { return page[0] == 0 && std::memcmp(page, page + 1, kPageSize - 1) == 0; }

Hash128 page_hash(const u8* page) { return is_zero_page(page) ? kNothing : hash128({page, kPageSize}); }

Hash128 group_hash(std::span<const Hash128, kGroupPages> pages) {
  static_assert(sizeof(Hash128) == 16 && std::endian::native == std::endian::little, "a group is hashed as one piece");
  if (std::all_of(pages.begin(), pages.end(), [](const Hash128& hash) { return hash == kNothing; })) return kNothing;
  return hash128({reinterpret_cast<const u8*>(pages.data()), pages.size_bytes()});
}

void MemoryHasher::add_group(u64 index, const Hash128& hash) {
  if (hash == kNothing) return;
  hasher_.add(index);
  hasher_.add(hash.high);
  hasher_.add(hash.low);
}

Hash128 memory_hash(const PageMap& pages) {
  MemoryHasher hasher;
  std::array<Hash128, kGroupPages> group{};
  u64 index = 0;
  pages.for_each([&](u64 page_index, const Page* page) {
    if (page_index >> kGroupShift != index) {
      hasher.add_group(index, group_hash(group));
      group.fill(kNothing);
      index = page_index >> kGroupShift;
    }
    group[page_index & (kGroupPages - 1)] = page->hash();
  });
  hasher.add_group(index, group_hash(group));
  return hasher.digest();
}

}  // namespace rondo
