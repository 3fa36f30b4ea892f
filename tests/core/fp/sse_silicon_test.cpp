// The soft-float layer against the SSE unit of the machine that runs the tests: results and flags, all rounding modes,
// FTZ and DAZ, exceptions masked.
#include <gtest/gtest.h>

#include "core/fp/compare.h"
#include "core/fp/convert.h"
#include "tests/core/fp/operands.h"

#if defined(__x86_64__)
#include <smmintrin.h>

namespace rondo::fp::test {
namespace {

constexpr u32 kModes[] = {0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x9f80, 0x1fc0, 0x9fc0, 0xdfc0, 0xbf80, 0xffc0};

struct Outcome {
  u64 bits = 0;
  u8 flags = 0;
  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& o, std::ostream* os) {
  *os << std::hex << "0x" << o.bits << " flags 0x" << unsigned{o.flags};
}

// Runs `operation` on the host under `mxcsr` and collects the flags.
template <class Operation>
Outcome on_host(u32 mxcsr, Operation operation) {
  u32 saved = 0, after = 0;
  asm volatile("stmxcsr %0" : "=m"(saved));
  asm volatile("ldmxcsr %0" ::"m"(mxcsr));
  const u64 bits = operation();
  asm volatile("stmxcsr %0" : "=m"(after));
  asm volatile("ldmxcsr %0" ::"m"(saved));
  return {bits, static_cast<u8>(after & 0x3f)};
}

template <class Operation>
Outcome in_soft(u32 mxcsr, Operation operation) {
  Context c = sse_context(mxcsr);
  const u64 bits = operation(c);
  return {bits, c.flags};
}

#define BINARY(instruction, type, a, b)                     \
  [&] {                                                     \
    type x = a;                                             \
    __m128i v, w;                                           \
    v = _mm_cvtsi64_si128(static_cast<i64>(x));             \
    w = _mm_cvtsi64_si128(static_cast<i64>(b));             \
    asm volatile(instruction " %1, %0" : "+x"(v) : "x"(w)); \
    return static_cast<type>(_mm_cvtsi128_si64(v));         \
  }

// Calls check(a, b, mxcsr) on the corner cross product and on random pairs.
template <class F, class Check>
void for_pairs(int random_count, u64 seed, Check check) {
  const auto corners = corner_operands<F>();
  for (u32 mode : kModes)
    for (auto a : corners)
      for (auto b : corners)
        if (!check(a, b, mode)) return;
  Random r(seed);
  for (int i = 0; i < random_count; i++) {
    const auto a = random_operand<F>(r);
    const auto b = related_operand<F>(a, r);
    if (!check(a, b, kModes[static_cast<unsigned>(i) % std::size(kModes)])) return;
  }
}

#define COMPARE_BINARY(name, F, instruction, soft)                                             \
  TEST(SseSilicon, name) {                                                                     \
    for_pairs<F>(200'000, __LINE__, [](F::Bits a, F::Bits b, u32 mode) {                       \
      const Outcome host = on_host(mode, BINARY(instruction, F::Bits, a, b));                  \
      const Outcome ours = in_soft(mode, [&](Context& c) { return u64{soft}; });               \
      EXPECT_EQ(host, ours) << std::hex << "a 0x" << a << " b 0x" << b << " mxcsr 0x" << mode; \
      return host == ours;                                                                     \
    });                                                                                        \
  }

COMPARE_BINARY(AddSs, Binary32, "addss", add<Binary32>(a, b, c))
COMPARE_BINARY(AddSd, Binary64, "addsd", add<Binary64>(a, b, c))
COMPARE_BINARY(SubSs, Binary32, "subss", sub<Binary32>(a, b, c))
COMPARE_BINARY(SubSd, Binary64, "subsd", sub<Binary64>(a, b, c))
COMPARE_BINARY(MulSs, Binary32, "mulss", mul<Binary32>(a, b, c))
COMPARE_BINARY(MulSd, Binary64, "mulsd", mul<Binary64>(a, b, c))
COMPARE_BINARY(DivSs, Binary32, "divss", div<Binary32>(a, b, c))
COMPARE_BINARY(DivSd, Binary64, "divsd", div<Binary64>(a, b, c))
COMPARE_BINARY(SqrtSs, Binary32, "sqrtss", sqrt<Binary32>(b, c))
COMPARE_BINARY(SqrtSd, Binary64, "sqrtsd", sqrt<Binary64>(b, c))
COMPARE_BINARY(MinSs, Binary32, "minss", min<Binary32>(a, b, c))
COMPARE_BINARY(MinSd, Binary64, "minsd", min<Binary64>(a, b, c))
COMPARE_BINARY(MaxSs, Binary32, "maxss", max<Binary32>(a, b, c))
COMPARE_BINARY(MaxSd, Binary64, "maxsd", max<Binary64>(a, b, c))

#define PREDICATE(F, number) (compare_predicate<F>(a, b, number, c) ? ~F::Bits{0} : F::Bits{0})
COMPARE_BINARY(CmpEqSs, Binary32, "cmpeqss", PREDICATE(Binary32, 0))
COMPARE_BINARY(CmpLtSs, Binary32, "cmpltss", PREDICATE(Binary32, 1))
COMPARE_BINARY(CmpLeSd, Binary64, "cmplesd", PREDICATE(Binary64, 2))
COMPARE_BINARY(CmpUnordSd, Binary64, "cmpunordsd", PREDICATE(Binary64, 3))
COMPARE_BINARY(CmpNeqSd, Binary64, "cmpneqsd", PREDICATE(Binary64, 4))
COMPARE_BINARY(CmpNltSd, Binary64, "cmpnltsd", PREDICATE(Binary64, 5))
COMPARE_BINARY(CmpNleSs, Binary32, "cmpnless", PREDICATE(Binary32, 6))
COMPARE_BINARY(CmpOrdSs, Binary32, "cmpordss", PREDICATE(Binary32, 7))

// Conversions: the destination register starts as `a`, the source is `b`.
COMPARE_BINARY(CvtSs2Sd, Binary64, "cvtss2sd", (convert<Binary64, Binary32>(static_cast<u32>(b), c)))
TEST(SseSilicon, CvtSd2Ss) {
  for_pairs<Binary64>(400'000, 7, [](u64 a, u64 b, u32 mode) {
    // Bring half of the operands into the neighbourhood of binary32's range.
    if (a & 1) b = (b & 0x807f'ffff'ffff'ffff) | 0x3800'0000'0000'0000 | (a & 0x7f0'0000'0000'0000) >> 4;
    const Outcome host = on_host(mode, [&] { return u64{static_cast<u32>(BINARY("cvtsd2ss", u64, u64{0}, b)())}; });
    const Outcome ours = in_soft(mode, [&](Context& c) { return u64{convert<Binary32, Binary64>(b, c)}; });
    EXPECT_EQ(host, ours) << std::hex << b << " mxcsr " << mode;
    return host == ours;
  });
}

#define TO_INTEGER(name, F, instruction, Int, rounding)                                                          \
  TEST(SseSilicon, name) {                                                                                       \
    for_pairs<F>(100'000, __LINE__, [](F::Bits a, F::Bits b, u32 mode) {                                         \
      for (F::Bits value : {a, b}) {                                                                             \
        const Outcome host = on_host(mode, [&] {                                                                 \
          const __m128i v = _mm_cvtsi64_si128(static_cast<i64>(value));                                          \
          std::make_unsigned_t<Int> result;                                                                      \
          asm volatile(instruction " %1, %0" : "=r"(result) : "x"(v));                                           \
          return u64{result};                                                                                    \
        });                                                                                                      \
        const Outcome ours = in_soft(mode, [&](Context& c) {                                                     \
          return u64{static_cast<std::make_unsigned_t<Int>>(to_integer<Int>(unpack<F>(value, c), rounding, c))}; \
        });                                                                                                      \
        EXPECT_EQ(host, ours) << std::hex << value << " mxcsr " << mode;                                         \
        if (host != ours) return false;                                                                          \
      }                                                                                                          \
      return true;                                                                                               \
    });                                                                                                          \
  }
TO_INTEGER(CvtSs2Si32, Binary32, "cvtss2sil", i32, c.rounding)
TO_INTEGER(CvtSs2Si64, Binary32, "cvtss2siq", i64, c.rounding)
TO_INTEGER(CvtSd2Si32, Binary64, "cvtsd2sil", i32, c.rounding)
TO_INTEGER(CvtSd2Si64, Binary64, "cvtsd2siq", i64, c.rounding)
TO_INTEGER(CvttSd2Si32, Binary64, "cvttsd2sil", i32, Rounding::zero)
TO_INTEGER(CvttSs2Si64, Binary32, "cvttss2siq", i64, Rounding::zero)

#define FROM_INTEGER(name, F, instruction, Int)                                                       \
  TEST(SseSilicon, name) {                                                                            \
    Random r(__LINE__);                                                                               \
    for (u32 i = 0; i < 400'000; i++) {                                                               \
      const Int value = static_cast<Int>(static_cast<i64>(shaped_fraction(r, 64)) >> r.below(64));    \
      const u32 mode = kModes[i % std::size(kModes)];                                                 \
      const Outcome host = on_host(mode, [&] {                                                        \
        __m128i v = _mm_setzero_si128();                                                              \
        asm volatile(instruction " %1, %0" : "+x"(v) : "r"(value));                                   \
        return static_cast<u64>(_mm_cvtsi128_si64(v));                                                \
      });                                                                                             \
      const Outcome ours = in_soft(mode, [&](Context& c) { return u64{from_integer<F>(value, c)}; }); \
      ASSERT_EQ(host, ours) << std::hex << value << " mxcsr " << mode;                                \
    }                                                                                                 \
  }
FROM_INTEGER(CvtSi32ToSs, Binary32, "cvtsi2ssl", i32)
FROM_INTEGER(CvtSi64ToSs, Binary32, "cvtsi2ssq", i64)
FROM_INTEGER(CvtSi32ToSd, Binary64, "cvtsi2sdl", i32)
FROM_INTEGER(CvtSi64ToSd, Binary64, "cvtsi2sdq", i64)

#define ROUND(name, F, instruction)                                                         \
  TEST(SseSilicon, name) {                                                                  \
    if (!__builtin_cpu_supports("sse4.1")) GTEST_SKIP() << "the host has no SSE4.1";        \
    for_pairs<F>(100'000, __LINE__, [](F::Bits a, F::Bits b, u32 mode) {                    \
      const Outcome host = on_host(mode, BINARY(instruction, F::Bits, a, b));               \
      const Outcome ours = in_soft(mode, [&](Context& c) {                                  \
        return u64{round_to_integral<F>(without_denormal(unpack<F>(b, c)), c.rounding, c)}; \
      });                                                                                   \
      EXPECT_EQ(host, ours) << std::hex << b << " mxcsr " << mode;                          \
      return host == ours;                                                                  \
    });                                                                                     \
  }
ROUND(RoundSs, Binary32, "roundss $4,")
ROUND(RoundSd, Binary64, "roundsd $4,")

TEST(SseSilicon, CompareFlags) {
  for_pairs<Binary64>(200'000, 99, [](u64 a, u64 b, u32 mode) {
    for (bool signaling : {false, true}) {
      const Outcome host = on_host(mode, [&] {
        const __m128i v = _mm_cvtsi64_si128(static_cast<i64>(a)), w = _mm_cvtsi64_si128(static_cast<i64>(b));
        u8 zf, pf, cf;
        if (signaling) {
          asm volatile("comisd %4, %3\n\tsetz %0\n\tsetp %1\n\tsetc %2"
                       : "=q"(zf), "=q"(pf), "=q"(cf)
                       : "x"(v), "x"(w)
                       : "cc");
        } else {
          asm volatile("ucomisd %4, %3\n\tsetz %0\n\tsetp %1\n\tsetc %2"
                       : "=q"(zf), "=q"(pf), "=q"(cf)
                       : "x"(v), "x"(w)
                       : "cc");
        }
        return u64{zf} << 2 | u64{pf} << 1 | cf;
      });
      const Outcome ours = in_soft(mode, [&](Context& c) -> u64 {
        switch (compare<Binary64>(a, b, signaling ? NanCompare::signaling : NanCompare::quiet, c)) {
          case Ordering::less:
            return 1;
          case Ordering::equal:
            return 4;
          case Ordering::greater:
            return 0;
          case Ordering::unordered:
            return 7;
        }
        return 99;
      });
      EXPECT_EQ(host, ours) << std::hex << a << ' ' << b << " mxcsr " << mode;
      if (host != ours) return false;
    }
    return true;
  });
}

}  // namespace
}  // namespace rondo::fp::test
#endif
