// The transcendental functions: correctly rounded reference values (computed with 500-bit arithmetic, the trigonometric
// ones with the hardware's 66-bit pi), special operands, and the distance to the silicon's results.
#include <gtest/gtest.h>

#include <cstring>

#include "core/fp/transcendental.h"
#include "tests/core/fp/operands.h"

namespace rondo::fp::test {
namespace {

enum class Function { f2xm1, fyl2x, fyl2xp1, fsin, fcos, fptan, fpatan };

// x is ST(0), y is ST(1) where there is one.
Ext80 evaluate(Function function, Ext80 x_bits, Ext80 y_bits, Context& c) {
  const Unpacked x = unpack<Extended80>(x_bits), y = unpack<Extended80>(y_bits);
  switch (function) {
    case Function::f2xm1:
      return f2xm1(x, c);
    case Function::fyl2x:
      return fyl2x(y, x, c);
    case Function::fyl2xp1:
      return fyl2xp1(y, x, c);
    case Function::fsin:
      return fsin(x, c);
    case Function::fcos:
      return fcos(x, c);
    case Function::fptan:
      return fptan(x, c);
    case Function::fpatan:
      return fpatan(y, x, c);
  }
  return {};
}

struct Reference {
  Function function;
  Ext80 x, y, result;  // rounded to nearest
};

constexpr Reference kReferences[] = {
    {Function::f2xm1, {0xd351d2286513270e, 0xbfe0}, {0x8000000000000000, 0x3fff}, {0x9279c085c74583c0, 0xbfe0}},
    {Function::fyl2x, {0xe91f8412128b2f33, 0x3f04}, {0x876c823a9531985d, 0x4002}, {0x845241387dcad0f6, 0xc00a}},
    {Function::fyl2x, {0x881e74efe8e25d94, 0x3fff}, {0xb586aa4d6f03675a, 0xbffd}, {0x80d8a2d67f94e15e, 0xbffa}},
    {Function::fyl2xp1, {0xb656a5138d116ece, 0xbfc8}, {0xf946082e1fb17c23, 0xc001}, {0x8012cce97dbd83af, 0x3fcc}},
    {Function::fsin, {0xf94e86d4953f48f1, 0xbfff}, {0x8000000000000000, 0x3fff}, {0xee07b9b7ea8786fb, 0xbffe}},
    {Function::fcos, {0x8658f14e658cda14, 0xbffd}, {0x8000000000000000, 0x3fff}, {0xf73cc2ea90377322, 0x3ffe}},
    {Function::fptan, {0xede24b658e81973e, 0x3fec}, {0x8000000000000000, 0x3fff}, {0xede24b6592c9187a, 0x3fec}},
    {Function::fpatan, {0xc53531f624ede6a4, 0xc002}, {0xe876d4178f6d0558, 0xbffe}, {0xc45af65dd77fd813, 0xc000}},
    {Function::f2xm1, {0xc91d39b494e3bf91, 0x3fdd}, {0x8000000000000000, 0x3fff}, {0x8b66d6bdf08bbb6f, 0x3fdd}},
    {Function::fyl2x, {0x8c789ae95f557203, 0x3f93}, {0x87a102da907a70c3, 0x3fef}, {0xe496f057f85a8e06, 0xbff5}},
    {Function::fyl2x, {0xf968c9446188964e, 0x3ffe}, {0xe37c3b8c6d76b07e, 0xc001}, {0x88f567aa8f74e3b9, 0x3ffd}},
    {Function::fyl2xp1, {0xba01f218ec66a787, 0xbfe8}, {0x970298cdcb5c7427, 0xbffe}, {0x9e4bea11fa8d0831, 0x3fe8}},
    {Function::fsin, {0xc986b75714f4733f, 0x3ff2}, {0x8000000000000000, 0x3fff}, {0xc986b7424478e2f2, 0x3ff2}},
    {Function::fcos, {0xabf702e6e00902c7, 0xbffa}, {0x8000000000000000, 0x3fff}, {0xffc64035d9e10109, 0x3ffe}},
    {Function::fptan, {0xfd765e9c9be4bcfc, 0x3ff4}, {0x8000000000000000, 0x3fff}, {0xfd7663c9bdf569a7, 0x3ff4}},
    {Function::fpatan, {0x951d7a6a6b0a18e8, 0xc005}, {0xbe9657c1eeeacbe2, 0x3ff9}, {0xc90abdd642f8bf18, 0x4000}},
    {Function::f2xm1, {0xc76f06bdc3baea9e, 0xbffa}, {0x8000000000000000, 0x3fff}, {0x87ee23a3668a50ab, 0xbffa}},
    {Function::fyl2x, {0xf00fa82bca02135e, 0x411d}, {0xacd2a53db1fee08f, 0x4000}, {0xc1b0201b9ad6d39c, 0x4008}},
    {Function::fyl2x, {0x87f2614498289fcd, 0x3fff}, {0xeb84107f119a72d1, 0x4000}, {0xa3ba3efecb446f9a, 0x3ffd}},
    {Function::fyl2xp1, {0xd938aca2795e8229, 0xbfd4}, {0xd9ca7d9bbb2d420f, 0x3ffd}, {0x854e209be721c6aa, 0xbfd4}},
    {Function::fsin, {0xd732c799fe3b890b, 0xc001}, {0x8000000000000000, 0x3fff}, {0xdae5c430fe2eac8c, 0xbffd}},
    {Function::fcos, {0xb1619d27b774eb52, 0x3fff}, {0x8000000000000000, 0x3fff}, {0xbc5dbd4a599a852d, 0x3ffc}},
    {Function::fptan, {0xf8672c1a05c6af07, 0x3fff}, {0x8000000000000000, 0x3fff}, {0xa51438d16411c0af, 0xc000}},
    {Function::fpatan, {0x8efcfebc9c653938, 0xbffa}, {0xa4ca91ccc4aaeac1, 0xbffb}, {0xfd7519fb62899d31, 0xbfff}},
    {Function::f2xm1, {0xb20aa3ce65dc9f50, 0xbffb}, {0x8000000000000000, 0x3fff}, {0xef875b96b3bd8056, 0xbffa}},
    {Function::fyl2x, {0x954b7d8d14a0f9e7, 0x40cf}, {0xf112b8ac4720771f, 0xc00e}, {0xc414bc01959503b2, 0xc016}},
    {Function::fyl2x, {0xe5c875a4dcf26881, 0x3ffe}, {0xda6b351d47469a4d, 0xc001}, {0x882e570dd8760975, 0x3fff}},
    {Function::fyl2xp1, {0xf12d3b02aec6f024, 0xbffb}, {0x8a9f3e1526a2c0bd, 0xbffe}, {0xc875786b28ea5b54, 0x3ffb}},
    {Function::fsin, {0x9dddf4f5a8948c89, 0xbffe}, {0x8000000000000000, 0x3fff}, {0x940cc9c6f043e20a, 0xbffe}},
    {Function::fcos, {0xa1a1ae622eae05cf, 0xc001}, {0x8000000000000000, 0x3fff}, {0xaa11789b57a7e8c4, 0x3ffd}},
    {Function::fptan, {0xc46d7a006b4013ef, 0xbffe}, {0x8000000000000000, 0x3fff}, {0xf6e52f393b4e30cb, 0xbffe}},
    {Function::fpatan, {0xf9ff1ce0519088f5, 0xc007}, {0xcf0d477af341e07a, 0xc005}, {0xbbfebcf65533ab0a, 0xc000}},
    {Function::f2xm1, {0xf323e5c774e69a5d, 0x3ffa}, {0x8000000000000000, 0x3fff}, {0xac0c138938341001, 0x3ffa}},
    {Function::fyl2x, {0xb2f3f2116472f1a3, 0x410f}, {0xd13066857b45145c, 0xbff1}, {0xdea88e19440b4653, 0xbff9}},
    {Function::fyl2x, {0x80fef79266836886, 0x3fff}, {0x94c659d270ccec31, 0xbffe}, {0xd4f179f54088200f, 0xbff7}},
    {Function::fyl2xp1, {0x8007a4e41a358ca0, 0xbff9}, {0xf977272219f9919c, 0x4001}, {0xb56a23e4d7be44cd, 0xbffc}},
    {Function::fsin, {0xefea1f9b1200339d, 0xbffd}, {0x8000000000000000, 0x3fff}, {0xe73b129baf3309a3, 0xbffd}},
    {Function::fcos, {0xd13455432607679d, 0xc000}, {0x8000000000000000, 0x3fff}, {0xfdee50282769c7ec, 0xbffe}},
    {Function::fptan, {0xae9ce8549a2ef80f, 0xbfff}, {0x8000000000000000, 0x3fff}, {0x98a754c67dae31c4, 0xc001}},
    {Function::fpatan, {0xbe790392d953ee26, 0xbff8}, {0xbdee4b457afb2c68, 0x4003}, {0xc91fe651a526a53c, 0x3fff}},
    {Function::f2xm1, {0xdff550aa1a28f7b3, 0xbffb}, {0x8000000000000000, 0x3fff}, {0x957fa175e1ddaec5, 0xbffb}},
    {Function::fyl2x, {0xa1e38dcdbd87a865, 0x4031}, {0x82f4ccf9842e7fc2, 0xbff5}, {0xce0182032d9ca98a, 0xbffa}},
    {Function::fyl2x, {0xe19186b5cb770789, 0x3ffe}, {0xd85422722587be6b, 0x3fff}, {0x9dfcdfe3d1b0bb9c, 0xbffd}},
    {Function::fyl2xp1, {0xc3991712c215a82a, 0x3ff9}, {0xec37a07bb239f3c7, 0xbffd}, {0x80a934a6c049e26a, 0xbff9}},
    {Function::fsin, {0x9561a223e883a1d4, 0xc02b}, {0x8000000000000000, 0x3fff}, {0xffff31d79966ecf9, 0xbffe}},
    {Function::fcos, {0xc55212468857f9a4, 0xc019}, {0x8000000000000000, 0x3fff}, {0xc9444233cc7ca0ae, 0xbffe}},
    {Function::fptan, {0x9c8ca121a2eddbbd, 0x4027}, {0x8000000000000000, 0x3fff}, {0xa1a8cc377cadfa62, 0xc001}},
    {Function::fpatan, {0x9ea44152ce5b2a92, 0x3ffb}, {0xc241fc5c332dd331, 0x3ffc}, {0x9770db764a63701f, 0x3fff}},
    {Function::f2xm1, {0x8393712efd56a926, 0xbffa}, {0x8000000000000000, 0x3fff}, {0xb463255480bc5a3a, 0xbff9}},
    {Function::fyl2x, {0xa12ca02978e4b98d, 0x3ff1}, {0xac1165bbf4de2c08, 0xc011}, {0x92fbe1acbdbc9cc6, 0x4015}},
    {Function::fyl2x, {0x8cefe2a1727d8349, 0x3fff}, {0xfcbce825f47aebdd, 0x3fff}, {0x8c6dab57a62f8cda, 0x3ffd}},
    {Function::fyl2xp1, {0x9d0948be1a26f889, 0xbffa}, {0xbdc7955a3451d013, 0xbfff}, {0xab41800becd3377f, 0x3ffb}},
    {Function::fsin, {0xf460a3a17abec539, 0x3ffd}, {0x8000000000000000, 0x3fff}, {0xeb342c820312a991, 0x3ffd}},
    {Function::fcos, {0xd48e121cd5ab8b4d, 0x4007}, {0x8000000000000000, 0x3fff}, {0x8b68f7170a840b3d, 0xbffe}},
    {Function::fptan, {0xdb1233b8c8450070, 0xc02e}, {0x8000000000000000, 0x3fff}, {0x96c7bbe73bdb07d9, 0xbffb}},
    {Function::fpatan, {0x96d9ccbfe39639be, 0x4004}, {0x8b1a9e81551fd8f9, 0xc009}, {0xc4b9ce540de2a651, 0xbfff}},
    {Function::f2xm1, {0xb360a4a77691b06f, 0x3ffd}, {0x8000000000000000, 0x3fff}, {0x8cbb5ccdbd82770f, 0x3ffd}},
    {Function::fyl2x, {0x94556528b98c67c2, 0x3f29}, {0x9358e7fe070d7109, 0xbff3}, {0xf619f548f3df8252, 0x3ffa}},
    {Function::fyl2x, {0xe30b739e68c08679, 0x3ffe}, {0xe9cb186b9c9011ef, 0xbffe}, {0xa1f0ff0b691a996a, 0x3ffc}},
    {Function::fyl2xp1, {0xf7feef75a842bc19, 0x3ffc}, {0x90c4143f8c5c715f, 0xc001}, {0xb52d2b4875920026, 0xbfff}},
    {Function::fsin, {0xdfef7e0a86ce03f9, 0xc00a}, {0x8000000000000000, 0x3fff}, {0xfff534c86010d38e, 0xbffe}},
    {Function::fcos, {0xef9545bcfc8e80b3, 0x4034}, {0x8000000000000000, 0x3fff}, {0x9eb32af218ebcafa, 0x3ffd}},
    {Function::fptan, {0xa03c1f85072a98d2, 0xc018}, {0x8000000000000000, 0x3fff}, {0xa1bce1b78a29fd26, 0xc000}},
    {Function::fpatan, {0xe1c042503d93fd4c, 0xc005}, {0xb5a234038b5ab3ee, 0x3ffd}, {0xc8dc5c855d57961b, 0x4000}},
};

TEST(Transcendental, ReferenceValues) {
  for (const Reference& r : kReferences) {
    Context c;
    const Ext80 result = evaluate(r.function, r.x, r.y, c);
    EXPECT_EQ(result, r.result) << static_cast<int>(r.function) << std::hex << " x " << r.x.sign_exponent << ':'
                                << r.x.significand << " got " << result.sign_exponent << ':' << result.significand;
    EXPECT_EQ(c.flags, kInexact);
  }
}

// Directed roundings enclose the value: down < up, one unit apart, and nearest is one of them.
TEST(Transcendental, DirectedRoundings) {
  for (const Reference& r : kReferences) {
    auto rounded = [&](Rounding mode) {
      Context c;
      c.rounding = mode;
      return evaluate(r.function, r.x, r.y, c);
    };
    const Ext80 down = rounded(Rounding::down), up = rounded(Rounding::up), nearest = rounded(Rounding::nearest);
    EXPECT_TRUE(nearest == down || nearest == up);
    EXPECT_NE(down, up);
    EXPECT_EQ(rounded(Rounding::zero), nearest.sign() ? up : down);
  }
}

TEST(Transcendental, OutOfRange) {
  EXPECT_TRUE(trigonometric_out_of_range(unpack<Extended80>(Ext80{u64{1} << 63, 16383 + 63})));
  EXPECT_FALSE(trigonometric_out_of_range(unpack<Extended80>(Ext80{~u64{0}, 16383 + 62})));
}

#if defined(__x86_64__)

struct HostResult {
  Ext80 value;
  u16 status = 0;
};

struct Raw {
  u8 bytes[16] = {};
};
Raw raw(Ext80 v) {
  Raw r;
  std::memcpy(r.bytes, &v.significand, 8);
  std::memcpy(r.bytes + 8, &v.sign_exponent, 2);
  return r;
}

#define ON_HOST(instruction)                                                                                      \
  [](const Raw& st0, const Raw& st1, u16 word, Raw& out, u16& status) {                                           \
    asm volatile("fninit\n\tfldt %3\n\tfldt %2\n\tfldcw %4\n\t" instruction "\n\tfnstsw %0\n\tfstpt %1\n\tfninit" \
                 : "=m"(status), "=m"(out)                                                                        \
                 : "m"(st0), "m"(st1), "m"(word)                                                                  \
                 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");                          \
  }

HostResult on_host(Function function, Ext80 x, Ext80 y, u16 control) {
  const Raw a = raw(x), b = raw(y);
  Raw stored;
  HostResult r;
  switch (function) {
    case Function::f2xm1:
      ON_HOST("f2xm1")(a, b, control, stored, r.status);
      break;
    case Function::fyl2x:
      ON_HOST("fyl2x")(a, b, control, stored, r.status);
      break;
    case Function::fyl2xp1:
      ON_HOST("fyl2xp1")(a, b, control, stored, r.status);
      break;
    case Function::fsin:
      ON_HOST("fsin")(a, b, control, stored, r.status);
      break;
    case Function::fcos:
      ON_HOST("fcos")(a, b, control, stored, r.status);
      break;
    case Function::fptan:
      ON_HOST("fptan\n\tfstp %%st(0)")(a, b, control, stored, r.status);
      break;
    case Function::fpatan:
      ON_HOST("fpatan")(a, b, control, stored, r.status);
      break;
  }
  std::memcpy(&r.value.significand, stored.bytes, 8);
  std::memcpy(&r.value.sign_exponent, stored.bytes + 8, 2);
  return r;
}

// Outside of the manual's domain the profile is AMD's; other hosts are not asked.
bool in_domain(Function function, const Unpacked& x) {
  if (x.kind != Class::finite) return true;
  const bool profile_host = __builtin_cpu_is("amd") != 0;
  switch (function) {
    case Function::f2xm1:
      return profile_host || x.exponent < 0;
    case Function::fyl2xp1:
      return x.exponent < -2 || (profile_host && x.sign && x.exponent >= 0);  // within 1 - sqrt(1/2)
    case Function::fsin:
    case Function::fcos:
    case Function::fptan:
      return x.exponent < 63;
    default:
      return true;
  }
}

bool is_number(const Unpacked& u) { return u.kind == Class::finite; }

// Counts the representable magnitudes: neighbours differ by one.
i128 position(Ext80 v) {
  const i128 exponent = v.exponent() == 0 ? 0 : v.exponent() - 1;
  return (exponent << 63) + static_cast<i128>(v.significand);
}

// Special operands give the silicon's results and flags exactly; numbers give results at most one unit away.
void compare_with_silicon(Function function, int random_count) {
  std::vector<std::pair<Ext80, Ext80>> pairs;
  for (auto a : corner_operands<Extended80>())
    for (auto b : corner_operands<Extended80>()) pairs.emplace_back(a, b);
  Random r(static_cast<u64>(function) + 1);
  for (int i = 0; i < random_count; i++) {
    pairs.emplace_back(random_operand<Extended80>(r), random_operand<Extended80>(r));
  }
  int different = 0, failures = 0, numbers = 0;
  for (std::size_t i = 0; i < pairs.size() && failures < 10; i++) {
    const auto [x, y] = pairs[i];
    const Unpacked ux = unpack<Extended80>(x), uy = unpack<Extended80>(y);
    if (!in_domain(function, ux)) continue;
    const u16 control = static_cast<u16>(0x37f | (i % 4) << 10);
    const HostResult host = on_host(function, x, y, control);
    Context c = x87_context(control);
    const Ext80 ours = evaluate(function, x, y, c);
    const bool two_operands =
        function == Function::fyl2x || function == Function::fyl2xp1 || function == Function::fpatan;
    const bool number = is_number(ux) && (!two_operands || is_number(uy));
    bool good = host.value == ours;
    if (number && !good) {
      const i128 distance = position(host.value) - position(ours);
      good = host.value.sign() == ours.sign() && distance >= -1 && distance <= 1;
      different++;
    }
    numbers += number;
    const u8 host_flags = static_cast<u8>(host.status & 0x3f);
    if (!good || host_flags != c.flags) {
      failures++;
      ADD_FAILURE() << static_cast<int>(function) << std::hex << " x " << x.sign_exponent << ':' << x.significand
                    << " y " << y.sign_exponent << ':' << y.significand << " fcw " << control << " host "
                    << host.value.sign_exponent << ':' << host.value.significand << " flags " << unsigned{host_flags}
                    << " ours " << ours.sign_exponent << ':' << ours.significand << " flags " << unsigned{c.flags};
    }
  }
  ::testing::Test::RecordProperty("different_from_silicon", different);
  ::testing::Test::RecordProperty("numbers", numbers);
}

TEST(TranscendentalSilicon, F2xm1) { compare_with_silicon(Function::f2xm1, 30'000); }
TEST(TranscendentalSilicon, Fyl2x) { compare_with_silicon(Function::fyl2x, 30'000); }
TEST(TranscendentalSilicon, Fyl2xp1) { compare_with_silicon(Function::fyl2xp1, 30'000); }
TEST(TranscendentalSilicon, Fsin) { compare_with_silicon(Function::fsin, 30'000); }
TEST(TranscendentalSilicon, Fcos) { compare_with_silicon(Function::fcos, 30'000); }
TEST(TranscendentalSilicon, Fptan) { compare_with_silicon(Function::fptan, 30'000); }
TEST(TranscendentalSilicon, Fpatan) { compare_with_silicon(Function::fpatan, 30'000); }

#endif

}  // namespace
}  // namespace rondo::fp::test
