// Immutable copies of guest pages, shared by all snapshots in which the page is the same.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "core/base/types.h"
#include "core/state/hash.h"

namespace rondo {

namespace detail {
struct PageStore;
}

// One page's contents. Lives as long as a PageRef or a PageMap holds it; may be read and held from any thread.
class Page {
 public:
  Page() = default;
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  std::span<const u8, kPageSize> bytes() const { return std::span<const u8, kPageSize>(data_, kPageSize); }
  // XXH3-128 of the bytes. Computed when first asked for, then remembered.
  Hash128 hash() const;
  std::optional<Hash128> known_hash() const;

 private:
  friend class PagePool;
  friend struct detail::PageStore;
  friend void retain(const Page* page) noexcept;
  friend void release(const Page* page) noexcept;
  void remember(const Hash128& hash) const;

  mutable std::atomic<u32> references_ = 0;
  // Two threads that hash at the same time store the same value.
  mutable std::atomic<bool> hashed_ = false;
  mutable std::atomic<u64> hash_high_ = 0, hash_low_ = 0;
  u8* data_ = nullptr;
  detail::PageStore* store_ = nullptr;
  Page* next_free_ = nullptr;
};

inline void retain(const Page* page) noexcept { page->references_.fetch_add(1, std::memory_order_relaxed); }
void release(const Page* page) noexcept;

// Owns a reference to a Page, or nothing.
class PageRef {
 public:
  PageRef() = default;
  explicit PageRef(const Page* page) : page_(page) {
    if (page_) retain(page_);
  }
  PageRef(const PageRef& other) : PageRef(other.page_) {}
  PageRef(PageRef&& other) noexcept : page_(other.page_) { other.page_ = nullptr; }
  PageRef& operator=(PageRef other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~PageRef() {
    if (page_) release(page_);
  }
  // Takes over a reference that is counted already, and the inverse.
  static PageRef adopt(const Page* page) {
    PageRef ref;
    ref.page_ = page;
    return ref;
  }
  const Page* give_up() { return std::exchange(page_, nullptr); }

  const Page* get() const { return page_; }
  const Page* operator->() const { return page_; }
  const Page& operator*() const { return *page_; }
  explicit operator bool() const { return page_ != nullptr; }

 private:
  const Page* page_ = nullptr;
};

// Where pages come from: host memory that is taken in large pieces and used again, so that a capture costs copies and
// neither allocations nor host page faults. May be used from several threads. The pages keep what they need of it
// alive.
class PagePool {
 public:
  static std::shared_ptr<PagePool> create();
  explicit PagePool(detail::PageStore* store) : store_(store) {}
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Copies many pages quickly. The Pages may go to other threads when it is gone.
  class Batch {
   public:
    // Up to `pages` pages will be made.
    Batch(PagePool& pool, u64 pages);
    ~Batch();
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    // A copy of `bytes`; `hash`, if it is known already, must be theirs.
    PageRef make(std::span<const u8, kPageSize> bytes, const std::optional<Hash128>& hash = std::nullopt);

   private:
    detail::PageStore* store_;
    Page* free_;
  };
  PageRef make(std::span<const u8, kPageSize> bytes, const std::optional<Hash128>& hash = std::nullopt) {
    return Batch(*this, 1).make(bytes, hash);
  }
  // Has at least this many free pages at hand, already backed by the host: for a thread with time to spare.
  void reserve(u64 pages);
  u64 free_pages() const;

 private:
  detail::PageStore* store_;
};

}  // namespace rondo
