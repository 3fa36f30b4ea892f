// The divergence search against sides whose states are a table.
#include "replay/divergence/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace rondo::replay {
namespace {

// An execution whose state at a count is value(count), and after what enters there entered(count).
class TableSide final : public Side {
 public:
  TableSide(std::vector<u64> arrived, std::vector<u64> entered, std::string end = "")
      : arrived_(std::move(arrived)), entered_(std::move(entered)), end_(std::move(end)) {}

  Status go_to(const Position& position) override {
    EXPECT_LE(place_, position);  // forward only
    const InstrCount last{arrived_.size() - 1};
    executed += std::min(position.count, last) - std::min(place_.count, last);
    place_ = position.count > last ? Position{last} : position;
    return success();
  }
  SideState state() override {
    SideState state;
    state.position = place_;
    const u64 i = place_.count.value;
    state.hash.total = Hash128{place_.entered ? entered_[i] : arrived_[i], 0};
    if (i == arrived_.size() - 1) state.ended = end_;
    return state;
  }
  void keep() override { kept_ = place_; }
  Status go_back() override {
    place_ = kept_;
    return success();
  }

  u64 executed = 0;

 private:
  std::vector<u64> arrived_, entered_;
  std::string end_;
  Position place_, kept_;
};

struct Case {
  std::vector<u64> arrived, entered;
  explicit Case(u64 length) : arrived(length + 1, 7), entered(length + 1, 7) {}
  TableSide side(const std::string& end = "") const { return {arrived, entered, end}; }
};

std::optional<Bracket> search(TableSide& a, TableSide& b, u64 to, u64 stride = 0) {
  auto found = find_divergence(a, b, {.from = {}, .to = InstrCount{to}, .stride = stride});
  EXPECT_TRUE(found);
  return *found;
}

TEST(DivergenceSearch, FindsEveryInstruction) {
  constexpr u64 kLength = 37;
  for (u64 n = 1; n <= kLength; ++n) {
    for (const u64 stride : {u64{0}, u64{1}, u64{5}, u64{100}}) {
      Case b(kLength);
      std::fill(b.arrived.begin() + static_cast<long>(n), b.arrived.end(), 8);
      std::fill(b.entered.begin() + static_cast<long>(n), b.entered.end(), 8);
      TableSide left = Case(kLength).side(), right = b.side();
      const auto found = search(left, right, kLength, stride);
      ASSERT_TRUE(found) << n;
      EXPECT_EQ(found->last_equal, (Position{InstrCount{n - 1}, true}));
      EXPECT_EQ(found->first_different, (Position{InstrCount{n}, false}));
      // Both are left where they are still equal.
      EXPECT_EQ(left.state(), right.state());
    }
  }
}

TEST(DivergenceSearch, TellsWhatEntersFromWhatExecutes) {
  for (u64 n = 0; n < 20; ++n) {
    Case b(20);
    std::fill(b.entered.begin() + static_cast<long>(n), b.entered.end(), 8);
    std::fill(b.arrived.begin() + static_cast<long>(n) + 1, b.arrived.end(), 8);
    TableSide left = Case(20).side(), right = b.side();
    const auto found = search(left, right, 20);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->last_equal, (Position{InstrCount{n}, false}));
    EXPECT_EQ(found->first_different, (Position{InstrCount{n}, true}));
  }
}

// Differences that come and go: whatever is found has equal states directly before different ones.
TEST(DivergenceSearch, SurvivesHealing) {
  std::mt19937_64 random(3);
  for (unsigned round = 0; round < 2000; ++round) {
    constexpr u64 kLength = 64;
    Case b(kLength);
    for (u64 i = 1; i <= kLength; ++i) {
      b.arrived[i] = random() % 3 == 0 ? 8 : 7;
      b.entered[i] = random() % 3 == 0 ? 8 : 7;
    }
    b.arrived[kLength] = 8;
    TableSide left = Case(kLength).side(), right = b.side();
    const auto found = search(left, right, kLength, round % 2 == 0 ? 0 : 10);
    ASSERT_TRUE(found);
    const auto differs = [&](const Position& p) { return (p.entered ? b.entered : b.arrived)[p.count.value] != 7; };
    EXPECT_FALSE(differs(found->last_equal));
    EXPECT_TRUE(differs(found->first_different));
    EXPECT_LE(found->first_different.count - found->last_equal.count, 1u);
    if (found->first_different.count == found->last_equal.count) {
      EXPECT_TRUE(found->first_different.entered && !found->last_equal.entered);
    }
  }
}

TEST(DivergenceSearch, EqualSides) {
  TableSide left = Case(50).side(), right = Case(50).side();
  EXPECT_EQ(search(left, right, 50), std::nullopt);
  TableSide both_end = Case(50).side("reset"), as_well = Case(50).side("reset");
  EXPECT_EQ(search(both_end, as_well, 1000, 7), std::nullopt);
}

TEST(DivergenceSearch, OneSideEnds) {
  TableSide ends = Case(30).side("reset"), goes_on = Case(50).side();
  const auto found = search(ends, goes_on, 50);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->first_different, (Position{InstrCount{30}, false}));
  EXPECT_EQ(found->last_equal, (Position{InstrCount{29}, true}));
}

// Each side executes the range at most twice: once on the way in, once in halves.
TEST(DivergenceSearch, Cost) {
  constexpr u64 kLength = 1 << 16;
  for (const u64 n : {u64{1}, kLength / 3, kLength - 1}) {
    Case b(kLength);
    std::fill(b.arrived.begin() + static_cast<long>(n), b.arrived.end(), 8);
    TableSide left = Case(kLength).side(), right = b.side();
    ASSERT_TRUE(search(left, right, kLength));
    EXPECT_LE(left.executed, 2 * kLength);
    EXPECT_LE(right.executed, 2 * kLength);
  }
}

}  // namespace
}  // namespace rondo::replay
