#include "tests/silicon/operands.h"

#include <cstring>

namespace rondo::silicon {
namespace {

constexpr u64 kPatterns[] = {0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x0f0f0f0f0f0f0f0f, 0x00ff00ff00ff00ff,
                             0x0123456789abcdef, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x8000000080000000,
                             0x7fff7fff7fff7fff, 0x00000000ffffffff, 0xffffffff00000000, 0x8000800080008000};

// A significand of `bits` bits: ends of the range, few bits set, or anything.
u64 interesting_fraction(Random& random, unsigned bits) {
  const u64 mask = (u64{1} << bits) - 1;
  switch (random.below(7)) {
    case 0:
      return 0;
    case 1:
      return mask;
    case 2:
      return 1;
    case 3:
      return u64{1} << random.below(bits);
    case 4:
      return mask & ~((u64{1} << random.below(bits)) - 1);
    case 5:
      return (random.next() & mask) & ~((u64{1} << random.below(bits)) - 1);
    default:
      return random.next() & mask;
  }
}

// A biased exponent: zero, ones, the edges of overflow and underflow, near one, or anything.
u64 interesting_exponent(Random& random, u64 bias, u64 special) {
  switch (random.below(10)) {
    case 0:
      return 0;
    case 1:
      return special;
    case 2:
      return 1 + random.below(3);
    case 3:
      return special - 1 - random.below(3);
    case 4:
      return bias / 2 + random.below(4);  // products that underflow
    case 5:
      return bias + bias / 2 - 1 + random.below(4);  // ... and overflow
    case 6:
    case 7:
      return bias - 2 + random.below(5);
    case 8:
      return bias + random.below(70 < bias ? 70 : bias);  // conversions to integers
    default:
      return random.below(special + 1);
  }
}

u32 integer_as_f32(Random& random) {
  const float value = static_cast<float>(static_cast<i32>(random.next()) >> random.below(31));
  u32 bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

u64 integer_as_f64(Random& random) {
  const double value = static_cast<double>(static_cast<i64>(random.next()) >> random.below(63)) * 0.5;
  u64 bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

u64 interesting_integer(Random& random) {
  switch (random.below(12)) {
    case 0:
      return 0;
    case 1:
      return 1 + random.below(2);
    case 2:
      return ~random.below(3);
    case 3:
      return u64{1} << random.below(64);
    case 4:
      return (u64{1} << random.below(64)) - 1;
    case 5:
      return ~(u64{1} << random.below(64));
    case 6:
      return kPatterns[random.below(std::size(kPatterns))];
    case 7:
      return random.below(256);
    case 8:
      return random.next() >> random.below(64);
    case 9:
      return static_cast<u64>(static_cast<i64>(random.next()) >> random.below(64));
    default:
      return random.next();
  }
}

u32 interesting_f32(Random& random) {
  if (random.below(8) == 0) return integer_as_f32(random);
  const u64 sign = random.below(2), exponent = interesting_exponent(random, 127, 255);
  return static_cast<u32>(sign << 31 | exponent << 23 | interesting_fraction(random, 23));
}

u64 interesting_f64(Random& random) {
  if (random.below(8) == 0) return integer_as_f64(random);
  const u64 sign = random.below(2), exponent = interesting_exponent(random, 1023, 2047);
  return sign << 63 | exponent << 52 | interesting_fraction(random, 52);
}

F80 interesting_f80(Random& random) {
  const u64 sign = random.below(2);
  u64 exponent = interesting_exponent(random, 16383, 32767);
  if (random.below(16) == 0)
    exponent = 16383 + (random.below(2) ? 1023u : u64{0} - 1023u) + random.below(3);  // edges of f64
  u64 fraction = interesting_fraction(random, 63);
  if (random.below(4) == 0) fraction &= ~u64{0x7ff};  // exact in f64
  // The integer bit agrees with the exponent but for a few pseudo-denormals, unnormals and pseudo-NaNs.
  const bool integer_bit = (exponent != 0) != (random.below(24) == 0);
  return {static_cast<u64>(integer_bit) << 63 | fraction, static_cast<u16>(sign << 15 | exponent)};
}

void fill_granule(Random& random, Kind kind, u8* out) {
  for (unsigned at = 0; at < kGranule;) {
    u64 bits = 0;
    unsigned size = 8;
    switch (kind) {
      case Kind::integer:
        bits = interesting_integer(random);
        break;
      case Kind::f32:
        bits = interesting_f32(random), size = 4;
        break;
      case Kind::f64:
        bits = interesting_f64(random);
        break;
      case Kind::f80: {
        const F80 value = interesting_f80(random);
        std::memcpy(out, &value.significand, 8);
        bits = value.sign_exponent | interesting_integer(random) << 16;
        at = 8;
        break;
      }
    }
    std::memcpy(out + at, &bits, size);
    at += size;
  }
}

void fill_data(Random& random, DataImage& data) {
  for (u64 at = 0; at < kDataBytes; at += kGranule)
    fill_granule(random, static_cast<Kind>(at / kGranule % kKinds), data.data() + at);
}

void fill_fx(Random& random, Kind kind, FxImage& fx) {
  fx = FxImage{};
  // x87: mostly all exceptions masked and a clean status.
  u16 control = static_cast<u16>(0x40 | random.below(4) << 8 | random.below(4) << 10 | 0x3f);
  if (random.percent(50)) control = static_cast<u16>((control & ~0x300) | 0x300);
  if (random.percent(25)) control = static_cast<u16>((control & ~0x3f) | random.below(64));
  u16 exceptions = 0;
  if (random.percent(20)) exceptions = static_cast<u16>(random.below(128));
  if (random.percent(90)) exceptions &= static_cast<u16>(control | 0x40);  // nothing pending
  const bool pending = exceptions & ~control & 0x3f;
  fx.control = control;
  fx.status = static_cast<u16>(exceptions | (pending ? 0x8080 : 0) | random.below(8) << 11 | (random.next() & 0x4700));
  fx.valid = static_cast<u8>(random.percent(60) ? 0xff : random.next());
  for (auto& st : fx.st) {
    const F80 value = interesting_f80(random);
    st.significand = value.significand;
    st.sign_exponent = value.sign_exponent;
  }
  for (auto& xmm : fx.xmm) {
    Kind chosen = random.percent(80) ? kind : static_cast<Kind>(random.below(3));
    if (chosen == Kind::f80) chosen = Kind::f64;
    fill_granule(random, chosen, reinterpret_cast<u8*>(xmm.lane));
  }
  u32 mxcsr = 0x1f80 | static_cast<u32>(random.below(4)) << 13;
  if (random.percent(15)) mxcsr |= 0x8000;
  if (random.percent(15)) mxcsr |= 0x40;
  if (random.percent(20)) mxcsr = (mxcsr & ~0x1f80u) | static_cast<u32>(random.below(64)) << 7;
  if (random.percent(20)) mxcsr |= static_cast<u32>(random.below(64));
  fx.mxcsr = mxcsr;
}

}  // namespace rondo::silicon
