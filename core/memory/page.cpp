#include "core/memory/page.h"

#include <sys/mman.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/assert.h"

namespace rondo {
namespace {

constexpr u64 kSlabPages = 512;
constexpr u64 kSlabBytes = kSlabPages * kPageSize;  // one huge page of the host, if it gives any

// The copy is not looked at soon: past the caches it is quicker, and they stay the guest's.
#ifdef __SSE2__
void copy_page(u8* to, const u8* from) {
  for (u64 at = 0; at < kPageSize; at += 64) {
    const __m128i* source = reinterpret_cast<const __m128i*>(from + at);
    __m128i* target = reinterpret_cast<__m128i*>(to + at);
    const __m128i a = _mm_load_si128(source), b = _mm_load_si128(source + 1);
    const __m128i c = _mm_load_si128(source + 2), d = _mm_load_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
}
void finish_copies() { _mm_sfence(); }  // such stores are not ordered with others
#else
void copy_page(u8* to, const u8* from) { std::memcpy(to, from, kPageSize); }
void finish_copies() {}
#endif

}  // namespace

namespace detail {

// Lives until the pool and its last page are gone.
struct PageStore {
  // A piece of host memory, aligned to its size, touched now so that nobody has to wait for it later.
  struct Slab {
    void* mapping;
    std::unique_ptr<Page[]> pages;
  };

  mutable std::mutex mutex;
  Page* free = nullptr;
  u64 free_count = 0;
  u64 holders = 1;  // the pool, and every page in use
  std::vector<Slab> slabs;

  ~PageStore() {
    for (const Slab& slab : slabs) munmap(slab.mapping, 2 * kSlabBytes);
  }

  Slab make_slab() {
    void* mapping =
        mmap(nullptr, 2 * kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    RONDO_ASSERT(mapping != MAP_FAILED);
    const u64 start = (reinterpret_cast<u64>(mapping) + kSlabBytes - 1) & ~(kSlabBytes - 1);
    u8* data = reinterpret_cast<u8*>(start);
    madvise(data, kSlabBytes, MADV_HUGEPAGE);
    for (u64 at = 0; at < kSlabBytes; at += kPageSize) data[at] = 0;
    Slab slab{mapping, std::make_unique<Page[]>(kSlabPages)};
    for (u64 i = 0; i < kSlabPages; ++i) {
      slab.pages[i].data_ = data + i * kPageSize;
      slab.pages[i].store_ = this;
      slab.pages[i].next_free_ = i + 1 < kSlabPages ? &slab.pages[i + 1] : nullptr;
    }
    return slab;
  }

  void grow() {
    Slab slab = make_slab();  // outside the lock: it takes a while
    const std::lock_guard lock(mutex);
    slab.pages[kSlabPages - 1].next_free_ = free;
    free = &slab.pages[0];
    free_count += kSlabPages;
    slabs.push_back(std::move(slab));
  }

  // A list of `count` pages.
  Page* take(u64 count) {
    if (count == 0) return nullptr;
    while (true) {
      {
        const std::lock_guard lock(mutex);
        if (free_count >= count) {
          Page* const first = free;
          Page* last = first;
          for (u64 i = 1; i < count; ++i) last = last->next_free_;
          free = std::exchange(last->next_free_, nullptr);
          free_count -= count;
          holders += count;
          return first;
        }
      }
      grow();
    }
  }

  void give_back(Page* page) {
    {
      const std::lock_guard lock(mutex);
      page->next_free_ = free;
      free = page;
      ++free_count;
      if (--holders != 0) return;
    }
    delete this;
  }

  void let_go() {
    {
      const std::lock_guard lock(mutex);
      if (--holders != 0) return;
    }
    delete this;
  }
};

}  // namespace detail

void release(const Page* page) noexcept {
  if (page->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  page->store_->give_back(const_cast<Page*>(page));
}

void Page::remember(const Hash128& hash) const {
  hash_high_.store(hash.high, std::memory_order_relaxed);
  hash_low_.store(hash.low, std::memory_order_relaxed);
  hashed_.store(true, std::memory_order_release);
}

std::optional<Hash128> Page::known_hash() const {
  if (!hashed_.load(std::memory_order_acquire)) return std::nullopt;
  return Hash128{hash_high_.load(std::memory_order_relaxed), hash_low_.load(std::memory_order_relaxed)};
}

Hash128 Page::hash() const {
  if (const auto known = known_hash()) return *known;
  const Hash128 hash = hash128(bytes());
  remember(hash);
  return hash;
}

std::shared_ptr<PagePool> PagePool::create() { return std::make_shared<PagePool>(new detail::PageStore); }

PagePool::~PagePool() { store_->let_go(); }

PagePool::Batch::Batch(PagePool& pool, u64 pages) : store_(pool.store_), free_(store_->take(pages)) {}

PagePool::Batch::~Batch() {
  finish_copies();
  while (free_) {
    Page* page = std::exchange(free_, free_->next_free_);
    store_->give_back(page);
  }
}

PageRef PagePool::Batch::make(std::span<const u8, kPageSize> bytes, const std::optional<Hash128>& hash) {
  RONDO_ASSERT(free_);
  Page* page = std::exchange(free_, free_->next_free_);
  if (reinterpret_cast<u64>(bytes.data()) % 16 == 0)
    copy_page(page->data_, bytes.data());
  else
    std::memcpy(page->data_, bytes.data(), kPageSize);
  page->hashed_.store(false, std::memory_order_relaxed);
  if (hash) page->remember(*hash);
  page->references_.store(1, std::memory_order_relaxed);  // a locked instruction would wait for the copy
  return PageRef::adopt(page);
}

void PagePool::reserve(u64 pages) {
  while (free_pages() < pages) store_->grow();
}

u64 PagePool::free_pages() const {
  const std::lock_guard lock(store_->mutex);
  return store_->free_count;
}

}  // namespace rondo
