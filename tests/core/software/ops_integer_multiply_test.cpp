// Multiplication, division and bit scans against the processor that runs the tests.
#include "core/software/ops/bit_math.h"
#include "core/software/ops/multiply_math.h"
#include "tests/core/software/ops_integer_silicon.h"

#if defined(__x86_64__)

namespace rondo::testing {
namespace {

inline constexpr u64 kUndefinedOfMultiply = flags::SF | flags::ZF | flags::AF | flags::PF;

// `instruction` %[b] on the double-width accumulator.
#define ON_ACCUMULATOR(instruction, type, low_value, high_value, b_value, rflags_value)           \
  [](type host_low, type host_high, type host_b, u64 host_flags) {                                \
    if constexpr (sizeof(type) == 1) {                                                            \
      u16 ax = static_cast<u16>(host_high << 8 | host_low);                                       \
      asm volatile(RONDO_HOST_FLAGS(instruction " %[b]")                                          \
                   : "+a"(ax), [f] "+&r"(host_flags)                                              \
                   : [b] "q"(host_b)                                                              \
                   : "cc", "memory");                                                             \
      return HostOutcome{ax & 0xffu, static_cast<u64>(ax >> 8), host_flags & flags::kArithmetic}; \
    } else {                                                                                      \
      asm volatile(RONDO_HOST_FLAGS(instruction " %[b]")                                          \
                   : "+a"(host_low), "+d"(host_high), [f] "+&r"(host_flags)                       \
                   : [b] "r"(host_b)                                                              \
                   : "cc", "memory");                                                             \
      return HostOutcome{host_low, host_high, host_flags & flags::kArithmetic};                   \
    }                                                                                             \
  }(low_value, high_value, b_value, rflags_value)

template <class T>
void check_products() {
  const u64 mask = compared_flags(kUndefinedOfMultiply);
  for_operands<T>([&](T a, T b, u64 rflags) {
    const auto expect = [&](const HostOutcome& host, const Product<T>& p, const char* name) {
      LazyFlags lazy = LazyFlags::from_rflags(rflags);
      lazy.set_cf_of(p.overflow, p.overflow);
      const std::string what = describe<T>(name, a, b, 0, rflags);
      EXPECT_EQ(host.value, static_cast<u64>(p.low)) << what;
      EXPECT_EQ(host.second, static_cast<u64>(p.high)) << what;
      EXPECT_EQ(host.rflags & mask, lazy.to_rflags() & mask) << what;
    };
    expect(ON_ACCUMULATOR("mul", T, a, T{0}, b, rflags), alu_mul(a, b), "mul");
    expect(ON_ACCUMULATOR("imul", T, a, T{0}, b, rflags), alu_imul(a, b), "imul");
  });
}

TEST(IntegerMath, Multiply) {
  check_products<u8>();
  check_products<u16>();
  check_products<u32>();
  check_products<u64>();
}

// The quotient's definition, in exact arithmetic wide enough for every case; what it says #DE to must not be tried on
// the host.
template <class T>
bool unsigned_fits(T high, T divisor) {
  return divisor != 0 && high < divisor;
}
template <class T>
bool signed_fits(T high, T low, T divisor) {
  using S = std::make_signed_t<T>;
  if (divisor == 0) return false;
  const auto n = static_cast<SignedWide<T>>(static_cast<Wide<T>>(high) << (8 * sizeof(T)) | low);
  const S d = static_cast<S>(divisor);
  if (n == std::numeric_limits<SignedWide<T>>::min() && d == -1) return false;
  const auto q = static_cast<SignedWide<T>>(n / d);
  return q == static_cast<S>(q);
}

// The host's quotient and remainder. Flags are left alone: all are undefined.
#define DIVIDE_ON_HOST(instruction, T, high, low, divisor)                                          \
  [](T host_high, T host_low, T host_divisor) {                                                     \
    if constexpr (sizeof(T) == 1) {                                                                 \
      u16 ax = static_cast<u16>(host_high << 8 | host_low);                                         \
      asm volatile(instruction " %1" : "+a"(ax) : "q"(host_divisor) : "cc");                        \
      return Quotient<T>{static_cast<T>(ax), static_cast<T>(ax >> 8), true};                        \
    } else {                                                                                        \
      asm volatile(instruction " %2" : "+a"(host_low), "+d"(host_high) : "r"(host_divisor) : "cc"); \
      return Quotient<T>{host_low, host_high, true};                                                \
    }                                                                                               \
  }(high, low, divisor)

template <class T>
void check_division(T high, T low, T divisor) {
  const auto what = [&](const char* name) { return describe<T>(name, high, low, divisor, 0); };
  const Quotient<T> u = alu_div(high, low, divisor);
  ASSERT_EQ(u.ok, unsigned_fits(high, divisor)) << what("div");
  if (u.ok) {
    const Quotient<T> host = DIVIDE_ON_HOST("div", T, high, low, divisor);
    ASSERT_TRUE(host.quotient == u.quotient && host.remainder == u.remainder) << what("div");
  }
  const Quotient<T> s = alu_idiv(high, low, divisor);
  ASSERT_EQ(s.ok, signed_fits(high, low, divisor)) << what("idiv");
  if (s.ok) {
    const Quotient<T> host = DIVIDE_ON_HOST("idiv", T, high, low, divisor);
    ASSERT_TRUE(host.quotient == s.quotient && host.remainder == s.remainder) << what("idiv");
  }
}

template <class T>
void check_divisions() {
  std::mt19937_64 random(64 + sizeof(T));
  for (int i = 0; i < 200'000 && !::testing::Test::HasFailure(); ++i) {
    const T low = edge_random<T>(random), divisor = edge_random<T>(random);
    // Often a high half that is a plain sign extension, as compilers produce.
    const T sign = static_cast<std::make_signed_t<T>>(low) < 0 ? static_cast<T>(~T{0}) : T{0};
    check_division<T>(i % 3 ? edge_random<T>(random) : sign, low, divisor);
  }
}

TEST(IntegerMath, DivideBytesExhaustively) {
  for (unsigned n = 0; n < 0x10000 && !HasFailure(); ++n) {
    for (unsigned d = 0; d < 256; ++d)
      check_division<u8>(static_cast<u8>(n >> 8), static_cast<u8>(n), static_cast<u8>(d));
  }
}

TEST(IntegerMath, Divide) {
  check_divisions<u16>();
  check_divisions<u32>();
  check_divisions<u64>();
}

template <class T>
void check_scans() {
  const u64 mask = compared_flags(flags::kArithmetic & ~flags::ZF);
  for_operands<T>([&](T a, T b, u64 rflags) {
    const auto expect = [&](const HostOutcome& host, T value, LazyFlags lazy, u64 compared, const char* name) {
      const std::string what = describe<T>(name, a, b, 0, rflags);
      EXPECT_EQ(host.value, static_cast<u64>(value)) << what;
      EXPECT_EQ(host.rflags & compared, lazy.to_rflags() & compared) << what;
    };
    const Scan<T> forward = alu_bsf(b), reverse = alu_bsr(b);
    expect(RONDO_ON_HOST("bsf %[b], %[a]", T, a, b, 0, rflags), forward.found ? forward.value : a, forward.flags, mask,
           "bsf");
    expect(RONDO_ON_HOST("bsr %[b], %[a]", T, a, b, 0, rflags), reverse.found ? reverse.value : a, reverse.flags, mask,
           "bsr");
    const AluResult<T> bits = alu_popcnt(b);
    expect(RONDO_ON_HOST("popcnt %[b], %[a]", T, a, b, 0, rflags), bits.value, bits.flags, kDefined, "popcnt");
  });
}

TEST(IntegerMath, BitScans) {
  check_scans<u16>();
  check_scans<u32>();
  check_scans<u64>();
}

}  // namespace
}  // namespace rondo::testing
#endif
