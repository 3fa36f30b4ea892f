#include "replay/divergence/search.h"

#include <algorithm>

namespace rondo::replay {
namespace {

class Search {
 public:
  Search(Side& a, Side& b) : a_(a), b_(b) {}

  // Takes both sides forward and compares them there.
  Result<bool> equal_at(const Position& position) {
    if (Status gone = a_.go_to(position); !gone) return gone.error();
    if (Status gone = b_.go_to(position); !gone) return gone.error();
    return a_.state() == b_.state();
  }
  void keep() {
    a_.keep();
    b_.keep();
  }
  Status go_back() {
    if (Status gone = a_.go_back(); !gone) return gone;
    return b_.go_back();
  }

 private:
  Side& a_;
  Side& b_;
};

}  // namespace

Result<std::optional<Bracket>> find_divergence(Side& a, Side& b, const SearchLimits& limits,
                                               const SearchProgress& progress) {
  using Found = std::optional<Bracket>;
  Search search(a, b);
  search.keep();
  Position left = limits.from;

  // Forward, stride by stride, to a place where they differ.
  std::optional<Position> right;
  while (!right && left.count < limits.to) {
    const u64 rest = limits.to - left.count;
    const Position next{left.count + (limits.stride == 0 ? rest : std::min(rest, limits.stride))};
    if (progress) progress(left.count, limits.to);
    const Result<bool> equal = search.equal_at(next);
    if (!equal) return equal.error();
    if (!*equal) {
      right = next;
    } else {
      left = next;
      search.keep();
      // Both came to the same end before it: nothing differs any more.
      if (a.state().position < next) break;
    }
  }
  if (!right) return Found{};

  const auto probe = [&](const Position& middle) -> Status {
    if (Status back = search.go_back(); !back) return back;
    if (progress) progress(left.count, right->count);
    const Result<bool> equal = search.equal_at(middle);
    if (!equal) return equal.error();
    if (*equal) {
      left = middle;
      search.keep();
    } else {
      right = middle;
    }
    return success();
  };
  while (right->count - left.count > 1) {
    if (Status probed = probe({left.count + (right->count - left.count) / 2}); !probed) return probed.error();
  }
  if (!left.entered && !right->entered) {
    if (Status probed = probe({left.count, true}); !probed) return probed.error();
  }
  if (Status back = search.go_back(); !back) return back.error();
  return Found{Bracket{left, *right}};
}

}  // namespace rondo::replay
