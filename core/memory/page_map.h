// The memory of a snapshot: page index -> Page, in a tree whose parts are shared by all maps in which they are the
// same.
//
// A copy costs nothing; a change copies the path to what changes. Copies may be used by different threads, one map by
// one.
#pragma once

#include <functional>
#include <optional>

#include "core/memory/page.h"

namespace rondo {

class PageMap {
 public:
  static constexpr u64 kMaximumPages = u64{1} << 36;

  PageMap() = default;
  PageMap(const PageMap& other);
  PageMap(PageMap&& other) noexcept;
  PageMap& operator=(PageMap other) noexcept;
  ~PageMap();

  // The page, null if it holds only zeros (or never was). Valid as long as this map is not changed; PageRef(get(i))
  // keeps it.
  const Page* get(u64 index) const;
  // An empty `page` is one of zeros. index < kMaximumPages.
  void set(u64 index, PageRef page);
  // How many pages are not zero.
  u64 count() const { return count_; }
  // One past the highest index with a page.
  u64 end() const;

  // In order of index.
  void for_each(const std::function<void(u64 index, const Page* page)>& visit) const;
  // Every index at which this map and `base` hold different Page objects, in order; null: zeros. Costs what is not
  // shared. Two Pages may have equal contents.
  using Difference = std::function<void(u64 index, const Page* before, const Page* after)>;
  void for_each_difference(const PageMap& base, const Difference& visit) const;

 private:
  struct Node;
  static constexpr unsigned kTop = 3;  // levels 3..0 of 9 bits; level 0 holds pages
  static void retain_node(Node* node);
  static void release_node(Node* node);
  static Node* own(Node* node, unsigned level);
  static void visit_all(const Node* node, u64 first, const std::function<void(u64, const Page*)>& visit);
  static void visit_difference(const Node* before, const Node* after, u64 first, const Difference& visit);

  Node* root_ = nullptr;
  u64 count_ = 0;
};

}  // namespace rondo
