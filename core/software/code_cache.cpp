#include "core/software/code_cache.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <new>

#include "core/base/assert.h"

namespace rondo::software {

CodeCache::CodeCache(PhysicalMemory& memory, Tlb& tlb) : memory_(memory), tlb_(tlb), buckets_(kBuckets), occupied_(kBuckets / 64) {
  void* p = mmap(nullptr, memory.page_count() * sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  RONDO_ASSERT(p != MAP_FAILED);
  pages_ = static_cast<Page*>(p);
  void* arena = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  RONDO_ASSERT(arena != MAP_FAILED);
  madvise(arena, kArenaBytes, MADV_HUGEPAGE);
  arena_ = static_cast<u8*>(arena);
}

CodeCache::~CodeCache() {
  munmap(arena_, kArenaBytes);
  munmap(pages_, memory_.page_count() * sizeof(Page));
}

void CodeCache::select_mode(const CodeKey& key) {
  if (key == key_) return;
  key_ = key;
  all_mappings_changed();
}

u64 CodeCache::lines_of(u64 from, u64 length) {
  const u64 first = from / 64, last = (from + length - 1) / 64;
  const u64 up_to_last = last == 63 ? ~u64{0} : (u64{1} << (last + 1)) - 1;
  return up_to_last & ~((u64{1} << first) - 1);
}

Block* CodeCache::find(u64 physical) const {
  for (Block* block = buckets_[bucket(physical)]; block; block = block->hash_next) {
    if (block->physical == physical && block->key == key_.packed()) return block;
  }
  return nullptr;
}

Block* CodeCache::find_crossing(u64 physical, u64 second_page) const {
  for (Block* block = buckets_[bucket(physical)]; block; block = block->hash_next) {
    if (block->physical == physical && block->key == key_.packed() && block->crosses && block->second_page == second_page) return block;
  }
  return nullptr;
}

void CodeCache::watch(const u8* host, u64 from, u64 length, Block* block, unsigned list) {
  Page& page = page_of(host);
  u8& marks = memory_.marks(host);
  const bool was_watched = marks & kPageWatched;
  marks |= kPageHasCode;
  if (!was_watched) tlb_.watch(host);
  page.lines |= lines_of(from, length);
  block->page_next[list] = page.first;
  page.first = block;
}

Block* CodeCache::add(u64 physical, u64 second_page, bool crosses, unsigned bytes, std::span<const Op> ops, unsigned count) {
  static_assert(sizeof(Op) % alignof(Block) == 0);
  const u64 size = sizeof(Block) + ops.size_bytes();
  if (bytes_used_ + size > kArenaBytes) clear();
  Block* block = new (arena_ + bytes_used_) Block;
  bytes_used_ += size;
  block->physical = physical;
  block->second_page = second_page;
  block->crosses = crosses;
  block->bytes = static_cast<u16>(bytes);
  block->key = key_.packed();
  block->count = static_cast<u8>(count);
  std::memcpy(static_cast<void*>(block->ops()), ops.data(), ops.size_bytes());
  Block*& head = buckets_[bucket(physical)];
  occupied_[bucket(physical) / 64] |= u64{1} << (bucket(physical) % 64);
  block->hash_next = head;
  head = block;
  const u64 from = physical & kPageMask;
  const u64 in_first = crosses ? kPageSize - from : bytes;
  watch(memory_.host(GuestPhys{physical - from}), from, in_first, block, 0);
  if (crosses) watch(memory_.host(GuestPhys{second_page}), 0, bytes - in_first, block, 1);
  return block;
}

// Takes the block out of the hash table and of the lists of its pages.
void CodeCache::unlink(Block* block) {
  Block** at = &buckets_[bucket(block->physical)];
  while (*at != block) at = &(*at)->hash_next;
  *at = block->hash_next;
  for (unsigned list = 0; list < (block->crosses ? 2u : 1u); ++list) {
    const u64 page_address = list == 0 ? block->physical & ~kPageMask : block->second_page;
    Block** link = &page_of(memory_.host(GuestPhys{page_address})).first;
    while (*link != block) {
      // A crossing block hangs on list 1 of its second page and on list 0 of its first.
      Block* other = *link;
      link = &other->page_next[other->crosses && other->second_page == page_address ? 1 : 0];
    }
    *link = block->page_next[list];
  }
}

bool CodeCache::store(const u8* host, unsigned size) {
  Page& page = page_of(host);
  const u64 from = reinterpret_cast<u64>(host) & kPageMask;
  if (!(page.lines & lines_of(from, size))) return false;
  const u64 page_address = memory_.address_of(host).value & ~kPageMask;
  std::vector<Block*> hit;
  u64 lines = 0;
  for (Block* block = page.first; block;) {
    const bool second = block->crosses && block->second_page == page_address;
    const u64 start = second ? 0 : block->physical & kPageMask;
    const u64 length = second ? block->bytes - (kPageSize - (block->physical & kPageMask))
                              : block->crosses ? kPageSize - start : block->bytes;
    Block* following = block->page_next[second ? 1 : 0];
    if (start < from + size && from < start + length) hit.push_back(block);
    else lines |= lines_of(start, length);
    block = following;
  }
  page.lines = lines;
  for (Block* block : hit) unlink(block);
  if (!page.first) memory_.marks(host) &= static_cast<u8>(~kPageHasCode);
  if (hit.empty()) return false;
  ++generation_;
  return true;
}

void CodeCache::drop_spanning(std::span<const u16> page_offsets) {
  if (page_offsets.empty()) return;
  const auto spans = [&](const Block& block) {
    const u64 start = block.physical & kPageMask;
    for (const u16 offset : page_offsets) {
      if (offset - start < block.bytes) return true;
    }
    return false;
  };
  std::vector<Block*> hit;
  for (u64 word = 0; word < occupied_.size(); ++word) {
    for (u64 bits = occupied_[word]; bits; bits &= bits - 1) {
      for (Block* block = buckets_[64 * word + static_cast<unsigned>(std::countr_zero(bits))]; block; block = block->hash_next) {
        if (spans(*block)) hit.push_back(block);
      }
    }
  }
  for (Block* block : hit) unlink(block);
  if (!hit.empty()) ++generation_;
}

void CodeCache::clear() {
  for (u64 word = 0; word < occupied_.size(); ++word) {
    for (; occupied_[word]; occupied_[word] &= occupied_[word] - 1) {
      Block*& head = buckets_[64 * word + static_cast<unsigned>(std::countr_zero(occupied_[word]))];
      for (Block* block = head; block;) {
        Block* following = block->hash_next;
        for (unsigned list = 0; list < (block->crosses ? 2u : 1u); ++list) {
          u8* host = memory_.host(GuestPhys{list == 0 ? block->physical & ~kPageMask : block->second_page});
          page_of(host) = {};
          memory_.marks(host) &= static_cast<u8>(~kPageHasCode);
        }
              block = following;
      }
      head = nullptr;
    }
  }
  bytes_used_ = 0;
  ++generation_;
}

}  // namespace rondo::software
