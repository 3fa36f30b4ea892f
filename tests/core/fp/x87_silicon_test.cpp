// The soft-float layer against the x87 unit of the machine that runs the tests: results, flags and C1 in all rounding
// modes and precisions, with exceptions masked, and with over- and underflow unmasked (biased results).
#include <gtest/gtest.h>

#include <cstring>

#include "core/fp/compare.h"
#include "core/fp/convert.h"
#include "core/fp/x87.h"
#include "tests/core/fp/operands.h"

#if defined(__x86_64__)

namespace rondo::fp::test {
namespace {

struct Outcome {
  Ext80 value;
  u8 flags = 0;
  bool c1 = false;  // compared where #P is raised
  bool operator==(const Outcome& o) const {
    return value == o.value && flags == o.flags && ((flags & kInexact) == 0 || c1 == o.c1);
  }
};

void PrintTo(const Outcome& o, std::ostream* os) {
  *os << std::hex << "0x" << o.value.sign_exponent << ":" << o.value.significand << " flags 0x" << unsigned{o.flags}
      << " c1 " << o.c1;
}

struct Raw {
  u8 bytes[16] = {};
};
Raw raw(Ext80 v) {
  Raw r;
  std::memcpy(r.bytes, &v.significand, 8);
  std::memcpy(r.bytes + 8, &v.sign_exponent, 2);
  return r;
}
Ext80 cooked(const Raw& r) {
  Ext80 v;
  std::memcpy(&v.significand, r.bytes, 8);
  std::memcpy(&v.sign_exponent, r.bytes + 8, 2);
  return v;
}

// Runs an instruction with a in ST(0) and b in ST(1); takes the result from ST(0). FNCLEX before the store keeps
// unmasked exceptions from being delivered.
#define HOST(instruction)                                                                                           \
  [](Ext80 st0, Ext80 st1, u16 control_word) {                                                                      \
    const Raw host_x = raw(st0), host_y = raw(st1);                                                                 \
    Raw host_result;                                                                                                \
    u16 host_status = 0;                                                                                            \
    asm volatile("fninit\n\tfldt %3\n\tfldt %2\n\tfldcw %4\n\t" instruction                                         \
                 "\n\tfnstsw %0\n\tfnclex\n\tfstpt %1\n\tfninit"                                                    \
                 : "=m"(host_status), "=m"(host_result)                                                             \
                 : "m"(host_x), "m"(host_y), "m"(control_word)                                                      \
                 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");                            \
    return std::pair(Outcome{cooked(host_result), static_cast<u8>(host_status & 0x3f), (host_status & 0x200) != 0}, \
                     host_status);                                                                                  \
  }

std::vector<u16> controls() {
  std::vector<u16> list;
  for (u16 rc = 0; rc < 4; rc++)
    for (u16 pc : {3, 2, 0})
      for (u16 masks : {0x3f, 0x27}) list.push_back(static_cast<u16>(rc << 10 | pc << 8 | masks));
  return list;
}

template <class Check>
void for_pairs(int random_count, u64 seed, Check check) {
  const auto corners = corner_operands<Extended80>();
  const auto words = controls();
  for (u16 control : words)
    for (auto a : corners)
      for (auto b : corners)
        if (!check(a, b, control)) return;
  Random r(seed);
  for (int i = 0; i < random_count; i++) {
    const auto a = random_operand<Extended80>(r);
    const auto b = related_operand<Extended80>(a, r);
    if (!check(a, b, words[static_cast<unsigned>(i) % words.size()])) return;
  }
}

#define COMPARE(name, instruction, soft)                                                                            \
  TEST(X87Silicon, name) {                                                                                          \
    for_pairs(200'000, __LINE__, [](Ext80 x, Ext80 y, u16 control) {                                                \
      const auto [host, status] = HOST(instruction)(x, y, control);                                                 \
      Context c = x87_context(control);                                                                             \
      const Unpacked a = unpack<Extended80>(x), b = unpack<Extended80>(y);                                          \
      static_cast<void>(b);                                                                                         \
      const Ext80 value = soft;                                                                                     \
      const Outcome ours{value, c.flags, c.rounded_up};                                                             \
      EXPECT_EQ(host, ours) << std::hex << x.sign_exponent << ':' << x.significand << ' ' << y.sign_exponent << ':' \
                            << y.significand << " fcw " << control;                                                 \
      return host == ours;                                                                                          \
    });                                                                                                             \
  }

COMPARE(Add, "fadd %%st(1), %%st", add<Extended80>(a, b, c))
COMPARE(Sub, "fsub %%st(1), %%st", sub<Extended80>(a, b, c))
COMPARE(Mul, "fmul %%st(1), %%st", mul<Extended80>(a, b, c))
COMPARE(Div, "fdiv %%st(1), %%st", div<Extended80>(a, b, c))
COMPARE(Sqrt, "fsqrt", sqrt<Extended80>(a, c))
COMPARE(RoundToInteger, "frndint", round_to_integral<Extended80>(a, c.rounding, c))
COMPARE(Scale, "fscale", scale(a, b, c))
COMPARE(ExtractSignificand, "fxtract", extract(a, c).significand)
COMPARE(ExtractExponent, "fxtract\n\tfstp %%st(0)", extract(a, c).exponent)

void compare_remainder(Ext80 x, Ext80 y, u16 control, bool nearest, std::pair<Outcome, u16> host_pair, bool& good) {
  Outcome host = host_pair.first;
  const u16 status = host_pair.second;
  Context c = x87_context(control);
  const PartialRemainder r = remainder(unpack<Extended80>(x), unpack<Extended80>(y), nearest, c);
  host.c1 = false;
  const Outcome ours{r.value, c.flags, false};
  EXPECT_EQ(host, ours) << std::hex << x.sign_exponent << ':' << x.significand << ' ' << y.sign_exponent << ':'
                        << y.significand << " fcw " << control;
  good = host == ours;
  if (c.flags & kInvalid || unpack<Extended80>(r.value).is_nan()) return;
  const bool c2 = (status & 0x400) != 0;
  const u8 quotient = static_cast<u8>((status >> 8 & 1) << 2 | (status >> 14 & 1) << 1 | (status >> 9 & 1));
  EXPECT_EQ(c2, r.partial);
  good = good && c2 == r.partial && (c2 || quotient == r.quotient);
  if (!good)
    ADD_FAILURE() << std::hex << x.sign_exponent << ':' << x.significand << ' ' << y.sign_exponent << ':'
                  << y.significand << " status " << status;
}

TEST(X87Silicon, Prem) {
  for_pairs(200'000, 1, [](Ext80 x, Ext80 y, u16 control) {
    bool good = true;
    compare_remainder(x, y, control, false, HOST("fprem")(x, y, control), good);
    return good;
  });
}
TEST(X87Silicon, Prem1) {
  for_pairs(200'000, 2, [](Ext80 x, Ext80 y, u16 control) {
    bool good = true;
    compare_remainder(x, y, control, true, HOST("fprem1")(x, y, control), good);
    return good;
  });
}

TEST(X87Silicon, Compare) {
  for_pairs(200'000, 3, [](Ext80 x, Ext80 y, u16 control) {
    for (bool signaling : {false, true}) {
      const auto [host, status] =
          signaling ? HOST("fcom %%st(1)")(x, y, control) : HOST("fucom %%st(1)")(x, y, control);
      Context c = x87_context(control);
      const Ordering o = compare(unpack<Extended80>(x), unpack<Extended80>(y),
                                 signaling ? NanCompare::signaling : NanCompare::quiet, c);
      const unsigned expected = o == Ordering::less      ? 0x100
                                : o == Ordering::equal   ? 0x4000
                                : o == Ordering::greater ? 0
                                                         : 0x4500;
      EXPECT_EQ(status & 0x4500u, expected);
      EXPECT_EQ(host.flags, c.flags) << std::hex << x.sign_exponent << ':' << x.significand << ' ' << y.sign_exponent
                                     << ':' << y.significand;
      if (host.flags != c.flags) return false;
    }
    return true;
  });
}

TEST(X87Silicon, Examine) {
  for_pairs(1000, 4, [](Ext80 x, Ext80 y, u16 control) {
    const u16 status = HOST("fxam")(x, y, control).second;
    const unsigned ours = examine(x);
    const unsigned host = (status >> 14 & 1u) << 2 | (status >> 10 & 1u) << 1 | (status >> 8 & 1u);
    EXPECT_EQ(host, ours) << std::hex << x.sign_exponent << ':' << x.significand;
    return host == ours;
  });
}

// Stores: `instruction` pops ST(0) into memory. Unmasked exceptions are not tried: they leave memory alone.
template <class T, class Host, class Soft>
void compare_store(u64 seed, Host host_store, Soft soft_store) {
  for_pairs(200'000, seed, [&](Ext80 x, Ext80 y, u16 control) {
    control |= 0x3f;
    if (x.exponent() > 0x3fff + 66 && x.exponent() < 0x7f00)
      x.sign_exponent = static_cast<u16>(0x3fff + (y.significand & 0x3f));
    const Raw r = raw(x);
    T host_value{};
    u16 status = 0;
    host_store(r, control, host_value, status);
    Context c = x87_context(control);
    const T ours = soft_store(without_denormal(unpack<Extended80>(x)), c);
    const bool same = host_value == ours && (status & 0x3f) == c.flags &&
                      ((c.flags & kInexact) == 0 || ((status & 0x200) != 0) == c.rounded_up);
    EXPECT_TRUE(same) << std::hex << x.sign_exponent << ':' << x.significand << " fcw " << control << " status "
                      << status << " flags " << unsigned{c.flags} << " up " << c.rounded_up;
    return same;
  });
}

#define STORE(instruction)                                                                    \
  [](const Raw& x, u16 control, auto& value, u16& status) {                                   \
    asm volatile("fninit\n\tfldt %2\n\tfldcw %3\n\t" instruction " %0\n\tfnstsw %1\n\tfninit" \
                 : "=m"(value), "=m"(status)                                                  \
                 : "m"(x), "m"(control)                                                       \
                 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");      \
  }

TEST(X87Silicon, StoreFloat) {
  compare_store<u32>(10, STORE("fstps"), [](const Unpacked& a, Context& c) { return convert<Binary32>(a, c); });
}
TEST(X87Silicon, StoreDouble) {
  compare_store<u64>(11, STORE("fstpl"), [](const Unpacked& a, Context& c) { return convert<Binary64>(a, c); });
}
TEST(X87Silicon, StoreInteger) {
  compare_store<i16>(12, STORE("fistps"),
                     [](const Unpacked& a, Context& c) { return to_integer<i16>(a, c.rounding, c); });
  compare_store<i32>(13, STORE("fistpl"),
                     [](const Unpacked& a, Context& c) { return to_integer<i32>(a, c.rounding, c); });
  compare_store<i64>(14, STORE("fistpq"),
                     [](const Unpacked& a, Context& c) { return to_integer<i64>(a, c.rounding, c); });
}
TEST(X87Silicon, StoreBcd) {
  struct Bcd {
    u8 bytes[10];
    bool operator==(const Bcd&) const = default;
  };
  compare_store<Bcd>(15, STORE("fbstp"), [](const Unpacked& a, Context& c) {
    const PackedBcd bcd = to_bcd(a, c);
    Bcd b;
    std::memcpy(b.bytes, &bcd.low, 8);
    std::memcpy(b.bytes + 8, &bcd.high, 2);
    return b;
  });
}

TEST(X87Silicon, LoadBcd) {
  Random r(16);
  for (int i = 0; i < 20'000; i++) {
    PackedBcd bcd;
    for (int d = 0; d < 16; d++) bcd.low |= u64{r.below(10)} << (4 * d);
    if (r.below(2)) bcd.low >>= r.below(16) * 4;
    bcd.high = static_cast<u16>((r.below(2) ? 0x8000 : 0) | (r.below(2) ? r.below(10) << 4 | r.below(10) : 0));
    u8 bytes[10];
    std::memcpy(bytes, &bcd.low, 8);
    std::memcpy(bytes + 8, &bcd.high, 2);
    Raw result;
    asm volatile("fninit\n\tfbld %1\n\tfstpt %0" : "=m"(result) : "m"(bytes) : "st");
    ASSERT_EQ(cooked(result), from_bcd(bcd)) << std::hex << bcd.high << bcd.low;
  }
}

// Memory operands: binary32/64 to extended on load, and as arithmetic operands together with ST(0).
TEST(X87Silicon, MemoryOperands) {
  Random r(17);
  for (int i = 0; i < 300'000; i++) {
    const u32 f = random_operand<Binary32>(r);
    const u64 d = random_operand<Binary64>(r);
    const Ext80 x = random_operand<Extended80>(r);
    const Raw a = raw(x);
    Raw host_load, host_sum;
    u16 load_status = 0, sum_status = 0;
    asm volatile("fninit\n\tflds %4\n\tfnstsw %1\n\tfstpt %0\n\tfnclex\n\tfldt %6\n\tfaddl %5\n\tfnstsw %3\n\tfstpt %2"
                 : "=m"(host_load), "=m"(load_status), "=m"(host_sum), "=m"(sum_status)
                 : "m"(f), "m"(d), "m"(a)
                 : "st", "st(1)");
    Context load, sum;
    const Ext80 our_load = convert<Extended80>(unpack<Binary32>(f), load);
    const Ext80 our_sum = add<Extended80>(unpack<Extended80>(x), unpack<Binary64>(d), sum);
    ASSERT_EQ(cooked(host_load), our_load) << std::hex << f;
    ASSERT_EQ(load_status & 0x3f, load.flags) << std::hex << f;
    ASSERT_EQ(cooked(host_sum), our_sum) << std::hex << x.sign_exponent << ':' << x.significand << ' ' << d;
    ASSERT_EQ(sum_status & 0x3f, sum.flags) << std::hex << x.sign_exponent << ':' << x.significand << ' ' << d;
  }
}

TEST(X87Silicon, Constants) {
  for (u16 rc = 0; rc < 4; rc++) {
    const u16 control = static_cast<u16>(0x37f | rc << 10);
    const Ext80 any{u64{1} << 63, 0x3fff};
    auto check = [&](Constant which, std::pair<Outcome, u16> host) {
      EXPECT_EQ(host.first.value, constant(which, static_cast<Rounding>(rc)))
          << static_cast<int>(which) << " rc " << rc;
    };
    check(Constant::one, HOST("fld1")(any, any, control));
    check(Constant::log2_10, HOST("fldl2t")(any, any, control));
    check(Constant::log2_e, HOST("fldl2e")(any, any, control));
    check(Constant::pi, HOST("fldpi")(any, any, control));
    check(Constant::log10_2, HOST("fldlg2")(any, any, control));
    check(Constant::ln_2, HOST("fldln2")(any, any, control));
    check(Constant::zero, HOST("fldz")(any, any, control));
  }
}

}  // namespace
}  // namespace rondo::fp::test
#endif
