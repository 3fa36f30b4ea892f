// The pure integer arithmetic against the processor that runs the tests: 8-bit forms exhaustively, the rest with random
// operands.
#include "core/software/ops/shift_math.h"
#include "tests/core/software/ops_integer_silicon.h"

#if defined(__x86_64__)

namespace rondo::testing {
namespace {

template <class T>
void expect_same(const HostOutcome& host, T value, LazyFlags lazy, u64 mask, const std::string& what) {
  EXPECT_EQ(host.value, static_cast<u64>(value)) << what;
  EXPECT_EQ(host.rflags & mask, lazy.to_rflags() & mask) << what;
}

// --- Two operands.

#define BINARY_TEST(Name, instruction, undefined, expression)                                \
  template <class T>                                                                         \
  void check_##Name() {                                                                      \
    const u64 mask = compared_flags(undefined);                                              \
    for_operands<T>([&](T a, T b, u64 rflags) {                                              \
      [[maybe_unused]] const LazyFlags before = LazyFlags::from_rflags(rflags);              \
      const HostOutcome host = RONDO_ON_HOST(instruction " %[b], %[a]", T, a, b, 0, rflags); \
      const AluResult<T> r = expression;                                                     \
      expect_same<T>(host, r.value, r.flags, mask, describe<T>(#Name, a, b, 0, rflags));     \
    });                                                                                      \
  }                                                                                          \
  TEST(IntegerMath, Name) {                                                                  \
    check_##Name<u8>();                                                                      \
    check_##Name<u16>();                                                                     \
    check_##Name<u32>();                                                                     \
    check_##Name<u64>();                                                                     \
  }

BINARY_TEST(Add, "add", 0, alu_add(a, b))
BINARY_TEST(Adc, "adc", 0, alu_add(a, b, before.cf()))
BINARY_TEST(Sub, "sub", 0, alu_sub(a, b))
BINARY_TEST(Sbb, "sbb", 0, alu_sub(a, b, before.cf()))
BINARY_TEST(And, "and", flags::AF, alu_logic(static_cast<T>(a& b)))
BINARY_TEST(Or, "or", flags::AF, alu_logic(static_cast<T>(a | b)))
BINARY_TEST(Xor, "xor", flags::AF, alu_logic(static_cast<T>(a ^ b)))

// --- Shifts. OF is defined for a count of 1 only, CF not for counts beyond the width of SHL and SHR, AF never.

template <class T>
u64 shift_undefined(unsigned count) {
  return flags::AF | (count == 1 ? 0 : flags::OF) | (count > kWidth<T> ? flags::CF : 0);
}

#define SHIFT_TEST(Name, instruction, undefined, expression)                                                      \
  template <class T>                                                                                              \
  void check_##Name() {                                                                                           \
    for_counts<T>([&](T a, T b, unsigned count, u64 rflags) {                                                     \
      [[maybe_unused]] const LazyFlags before = LazyFlags::from_rflags(rflags);                                   \
      const HostOutcome host = RONDO_ON_HOST(instruction " %%cl, %[a]", T, a, b, count, rflags);                  \
      const AluResult<T> r = expression;                                                                          \
      expect_same<T>(host, r.value, r.flags, compared_flags(undefined), describe<T>(#Name, a, b, count, rflags)); \
    });                                                                                                           \
  }                                                                                                               \
  TEST(IntegerMath, Name) {                                                                                       \
    check_##Name<u8>();                                                                                           \
    check_##Name<u16>();                                                                                          \
    check_##Name<u32>();                                                                                          \
    check_##Name<u64>();                                                                                          \
  }

SHIFT_TEST(Shl, "shl", shift_undefined<T>(count), alu_shl(a, count))
SHIFT_TEST(Shr, "shr", shift_undefined<T>(count), alu_shr(a, count))
SHIFT_TEST(Sar, "sar", shift_undefined<T>(count), alu_sar(a, count))
SHIFT_TEST(Rol, "rol", (count == 1 ? 0 : flags::OF), alu_rol(a, count, before))
SHIFT_TEST(Ror, "ror", (count == 1 ? 0 : flags::OF), alu_ror(a, count, before))
SHIFT_TEST(Rcl, "rcl", (count == 1 ? 0 : flags::OF), alu_rcl(a, count, before))
SHIFT_TEST(Rcr, "rcr", (count == 1 ? 0 : flags::OF), alu_rcr(a, count, before))

// 16-bit counts above 16: everything is undefined.
template <class T>
void check_double_shifts() {
  for_counts<T>([&](T a, T b, unsigned count, u64 rflags) {
    if (count > kWidth<T> && !host_is_amd()) return;
    const u64 mask = compared_flags(shift_undefined<T>(count));
    const HostOutcome left = RONDO_ON_HOST("shld %%cl, %[b], %[a]", T, a, b, count, rflags);
    const AluResult<T> l = alu_shld(a, b, count);
    expect_same<T>(left, l.value, l.flags, mask, describe<T>("shld", a, b, count, rflags));
    const HostOutcome right = RONDO_ON_HOST("shrd %%cl, %[b], %[a]", T, a, b, count, rflags);
    const AluResult<T> r = alu_shrd(a, b, count);
    expect_same<T>(right, r.value, r.flags, mask, describe<T>("shrd", a, b, count, rflags));
  });
}

TEST(IntegerMath, DoubleShifts) {
  check_double_shifts<u16>();
  check_double_shifts<u32>();
  check_double_shifts<u64>();
}

// --- The flags themselves.

TEST(IntegerMath, FlagsSurviveARoundTrip) {
  for (u64 f = 0; f < 0x1000; ++f) {
    const u64 rflags = f & flags::kArithmetic;
    LazyFlags lazy = LazyFlags::from_rflags(rflags);
    EXPECT_EQ(lazy.to_rflags(), rflags);
    lazy.set_cf(!lazy.cf());
    EXPECT_EQ(lazy.to_rflags(), rflags ^ flags::CF);
    lazy.set_of(!lazy.of());
    EXPECT_EQ(lazy.to_rflags(), rflags ^ flags::CF ^ flags::OF);
  }
}

}  // namespace
}  // namespace rondo::testing
#endif
