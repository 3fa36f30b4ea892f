// Where the fast path applies, it gives the soft path's bits, and the soft path raises nothing but #P.
#include "core/fp/fast.h"

#include <gtest/gtest.h>

#include "core/fp/arithmetic.h"
#include "core/fp/compare.h"
#include "core/fp/convert.h"
#include "tests/core/fp/operands.h"

namespace rondo::fp::test {
namespace {

TEST(FastPath, Mode) {
  EXPECT_TRUE(fast_mode(0x1fa0));
  EXPECT_TRUE(fast_mode(0x9fe0));   // FTZ and DAZ do not matter
  EXPECT_FALSE(fast_mode(0x1f80));  // PE not yet set
  EXPECT_FALSE(fast_mode(0x0fa0));  // #P unmasked
  EXPECT_FALSE(fast_mode(0x3fa0));  // another rounding
}

template <class F>
void compare_all(int random_count) {
  using Bits = typename F::Bits;
  u64 applied = 0;
  auto check = [&](const char* name, bool applies, Bits fast_result, Bits soft_result, const Context& c, Bits a,
                   Bits b) {
    if (!applies) return;
    applied++;
    ASSERT_EQ(fast_result, soft_result) << name << std::hex << ' ' << a << ' ' << b;
    ASSERT_EQ(c.flags & ~kInexact, 0) << name << std::hex << ' ' << a << ' ' << b;
  };
  auto check_pair = [&](Bits a, Bits b) {
    // FTZ and DAZ on and off must not matter.
    for (bool flush : {false, true}) {
      auto context = [&] {
        Context c;
        c.ftz = c.daz = flush;
        return c;
      };
      Bits r = 0;
      bool fast = false;
      Context c = context();
      Bits soft = add<F>(a, b, c);
      fast = fast_add<F>(a, b, r);
      check("add", fast, r, soft, c, a, b);
      c = context();
      soft = sub<F>(a, b, c);
      fast = fast_sub<F>(a, b, r);
      check("sub", fast, r, soft, c, a, b);
      c = context();
      soft = mul<F>(a, b, c);
      fast = fast_mul<F>(a, b, r);
      check("mul", fast, r, soft, c, a, b);
      c = context();
      soft = div<F>(a, b, c);
      fast = fast_div<F>(a, b, r);
      check("div", fast, r, soft, c, a, b);
      c = context();
      soft = sqrt<F>(a, c);
      fast = fast_sqrt<F>(a, r);
      check("sqrt", fast, r, soft, c, a, b);
      c = context();
      const Ordering order = compare<F>(a, b, NanCompare::signaling, c);
      if (fast_comparable<F>(a, b)) {
        const auto x = to_host<F>(a), y = to_host<F>(b);
        ASSERT_EQ(order, x < y ? Ordering::less : x == y ? Ordering::equal : Ordering::greater);
        ASSERT_EQ(c.flags, 0);
      }
    }
  };
  for (Bits a : corner_operands<F>())
    for (Bits b : corner_operands<F>()) check_pair(a, b);
  Random r(F::precision);
  for (int i = 0; i < random_count; i++) {
    const Bits a = random_operand<F>(r);
    check_pair(a, related_operand<F>(a, r));
  }
  EXPECT_GT(applied, static_cast<u64>(random_count));  // it is not vacuous
}

TEST(FastPath, Binary32) { compare_all<Binary32>(200'000); }
TEST(FastPath, Binary64) { compare_all<Binary64>(200'000); }

// Near the limits of the exponent range, where the choice is delicate.
TEST(FastPath, Boundaries) {
  Random r(5);
  for (int i = 0; i < 200'000; i++) {
    const u64 a = (u64{1 + r.below(2046)} << 52) | (r.next() >> 12);
    const unsigned ea = static_cast<unsigned>(a >> 52);
    const unsigned target = r.below(2) ? r.below(5) : 2043 + r.below(5);  // of the product
    const int eb = static_cast<int>(target) - static_cast<int>(ea) + 1023;
    if (eb < 1 || eb > 2046) continue;
    const u64 b = (static_cast<u64>(eb) << 52) | (r.next() >> 12);
    u64 fast = 0;
    Context c;
    c.ftz = (i & 1) != 0;
    const u64 soft = mul<Binary64>(a, b, c);
    if (!fast_mul<Binary64>(a, b, fast)) continue;
    ASSERT_EQ(fast, soft) << std::hex << a << ' ' << b;
    ASSERT_EQ(c.flags & ~kInexact, 0);
  }
}

}  // namespace
}  // namespace rondo::fp::test
