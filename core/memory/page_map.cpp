#include "core/memory/page_map.h"

#include <array>
#include <utility>

#include "core/base/assert.h"

namespace rondo {
namespace {

constexpr unsigned kBits = 9;
constexpr u64 kFanOut = u64{1} << kBits;

u64 slot_of(u64 index, unsigned level) { return index >> (kBits * level) & (kFanOut - 1); }

}  // namespace

// Shared nodes never change: whoever holds the only reference may change one.
struct PageMap::Node {
  explicit Node(unsigned l) : level(l) {}
  Node(const Node& other) : level(other.level), child(other.child) {
    for (u64 i = 0; i < kFanOut; ++i) {
      if (!child[i]) continue;
      if (level == 0)
        retain(page(i));
      else
        retain_node(node(i));
    }
  }
  ~Node() {
    for (u64 i = 0; i < kFanOut; ++i) {
      if (!child[i]) continue;
      if (level == 0)
        release(page(i));
      else
        release_node(node(i));
    }
  }
  const Page* page(u64 i) const { return static_cast<const Page*>(child[i]); }
  Node* node(u64 i) const { return static_cast<Node*>(const_cast<void*>(child[i])); }

  std::atomic<u32> references = 1;
  const unsigned level;
  std::array<const void*, kFanOut> child{};  // level 0: Pages; above: Nodes
};

void PageMap::retain_node(Node* node) { node->references.fetch_add(1, std::memory_order_relaxed); }

void PageMap::release_node(Node* node) {
  if (node->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete node;
}

PageMap::PageMap(const PageMap& other) : root_(other.root_), count_(other.count_) {
  if (root_) retain_node(root_);
}

PageMap::PageMap(PageMap&& other) noexcept
    : root_(std::exchange(other.root_, nullptr)), count_(std::exchange(other.count_, 0)) {}

PageMap& PageMap::operator=(PageMap other) noexcept {
  std::swap(root_, other.root_);
  std::swap(count_, other.count_);
  return *this;
}

PageMap::~PageMap() {
  if (root_) release_node(root_);
}

const Page* PageMap::get(u64 index) const {
  if (index >= kMaximumPages) return nullptr;
  const Node* node = root_;
  for (unsigned level = kTop; node && level > 0; --level) node = node->node(slot_of(index, level));
  return node ? node->page(slot_of(index, 0)) : nullptr;
}

// `node` if nobody else holds it, else a copy; a new one if it is null. Takes over the reference.
PageMap::Node* PageMap::own(Node* node, unsigned level) {
  if (!node) return new Node(level);
  if (node->references.load(std::memory_order_acquire) == 1) return node;
  Node* copy = new Node(*node);
  release_node(node);
  return copy;
}

void PageMap::set(u64 index, PageRef page) {
  RONDO_ASSERT(index < kMaximumPages);
  const Page* before = get(index);
  if (before == page.get()) return;
  Node* node = root_ = own(root_, kTop);
  for (unsigned level = kTop; level > 0; --level) {
    Node* below = own(node->node(slot_of(index, level)), level - 1);
    node->child[slot_of(index, level)] = below;
    node = below;
  }
  count_ += page ? 1 : 0;
  count_ -= before ? 1 : 0;
  node->child[slot_of(index, 0)] = page.give_up();
  if (before) release(before);
}

u64 PageMap::end() const {
  // Subtrees may be empty, so all that lies below the highest page is looked at from the top.
  const std::function<u64(const Node*, u64)> search = [&](const Node* node, u64 first) -> u64 {
    for (u64 i = kFanOut; i-- > 0;) {
      if (!node->child[i]) continue;
      const u64 index = first + (i << (kBits * node->level));
      if (node->level == 0) return index + 1;
      if (const u64 found = search(node->node(i), index)) return found;
    }
    return 0;
  };
  return root_ ? search(root_, 0) : 0;
}

void PageMap::visit_all(const Node* node, u64 first, const std::function<void(u64, const Page*)>& visit) {
  for (u64 i = 0; i < kFanOut; ++i) {
    if (!node->child[i]) continue;
    if (node->level == 0)
      visit(first + i, node->page(i));
    else
      visit_all(node->node(i), first + (i << (kBits * node->level)), visit);
  }
}

void PageMap::for_each(const std::function<void(u64, const Page*)>& visit) const {
  if (root_) visit_all(root_, 0, visit);
}

void PageMap::visit_difference(const Node* before, const Node* after, u64 first, const Difference& visit) {
  if (before == after) return;
  const unsigned level = before ? before->level : after->level;
  for (u64 i = 0; i < kFanOut; ++i) {
    if ((before ? before->child[i] : nullptr) == (after ? after->child[i] : nullptr)) continue;
    if (level == 0) {
      visit(first + i, before ? before->page(i) : nullptr, after ? after->page(i) : nullptr);
    } else {
      visit_difference(before ? before->node(i) : nullptr, after ? after->node(i) : nullptr,
                       first + (i << (kBits * level)), visit);
    }
  }
}

void PageMap::for_each_difference(const PageMap& base, const Difference& visit) const {
  visit_difference(base.root_, root_, 0, visit);
}

}  // namespace rondo
