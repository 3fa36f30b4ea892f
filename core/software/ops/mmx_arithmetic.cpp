// Packed integer arithmetic in MMX and XMM registers (SDM 1 5.4.3, 5.6.3, 5.8, 5.10.1, 5.10.4).
#include "core/software/ops/simd.h"

namespace rondo::software {

#define PACKED(name, ...) RONDO_PACKED(name, lower_mmx_or_xmm, __VA_ARGS__)
#define PACKED_XMM(name, ...) RONDO_PACKED(name, lower_xmm, __VA_ARGS__)

PACKED(PADDB, map<u8>(a, b, [](u8 x, u8 y) { return x + y; }))
PACKED(PADDW, map<u16>(a, b, [](u16 x, u16 y) { return x + y; }))
PACKED(PADDD, map<u32>(a, b, [](u32 x, u32 y) { return x + y; }))
PACKED(PADDQ, map<u64>(a, b, [](u64 x, u64 y) { return x + y; }))
PACKED(PADDSB, map<i8>(a, b, [](i8 x, i8 y) { return saturate<i8>(x + y); }))
PACKED(PADDSW, map<i16>(a, b, [](i16 x, i16 y) { return saturate<i16>(x + y); }))
PACKED(PADDUSB, map<u8>(a, b, [](u8 x, u8 y) { return saturate<u8>(x + y); }))
PACKED(PADDUSW, map<u16>(a, b, [](u16 x, u16 y) { return saturate<u16>(x + y); }))
PACKED(PSUBB, map<u8>(a, b, [](u8 x, u8 y) { return x - y; }))
PACKED(PSUBW, map<u16>(a, b, [](u16 x, u16 y) { return x - y; }))
PACKED(PSUBD, map<u32>(a, b, [](u32 x, u32 y) { return x - y; }))
PACKED(PSUBQ, map<u64>(a, b, [](u64 x, u64 y) { return x - y; }))
PACKED(PSUBSB, map<i8>(a, b, [](i8 x, i8 y) { return saturate<i8>(x - y); }))
PACKED(PSUBSW, map<i16>(a, b, [](i16 x, i16 y) { return saturate<i16>(x - y); }))
PACKED(PSUBUSB, map<u8>(a, b, [](u8 x, u8 y) { return saturate<u8>(x - y); }))
PACKED(PSUBUSW, map<u16>(a, b, [](u16 x, u16 y) { return saturate<u16>(x - y); }))

PACKED(PMULLW, map<u16>(a, b, [](u32 x, u32 y) { return x * y; }))
PACKED(PMULHW, map<i16>(a, b, [](i32 x, i32 y) { return (x * y) >> 16; }))
PACKED(PMULHUW, map<u16>(a, b, [](u32 x, u32 y) { return (x * y) >> 16; }))
PACKED(PMULHRSW, map<i16>(a, b, [](i32 x, i32 y) { return ((x * y >> 14) + 1) >> 1; }))
PACKED(PMULUDQ, map<u64>(a, b, [](u64 x, u64 y) { return u64{static_cast<u32>(x)} * static_cast<u32>(y); }))
PACKED_XMM(PMULLD, map<u32>(a, b, [](u32 x, u32 y) { return x * y; }))
PACKED_XMM(PMULDQ, map<i64>(a, b, [](i64 x, i64 y) { return i64{static_cast<i32>(x)} * static_cast<i32>(y); }))

PACKED(PAVGB, map<u8>(a, b, [](u8 x, u8 y) { return (x + y + 1) >> 1; }))
PACKED(PAVGW, map<u16>(a, b, [](u16 x, u16 y) { return (x + y + 1) >> 1; }))

#define MINIMUM(T) map<T>(a, b, [](T x, T y) { return x < y ? x : y; })
#define MAXIMUM(T) map<T>(a, b, [](T x, T y) { return x > y ? x : y; })
PACKED(PMINUB, MINIMUM(u8))
PACKED(PMINSW, MINIMUM(i16))
PACKED(PMAXUB, MAXIMUM(u8))
PACKED(PMAXSW, MAXIMUM(i16))
PACKED_XMM(PMINSB, MINIMUM(i8))
PACKED_XMM(PMINUW, MINIMUM(u16))
PACKED_XMM(PMINSD, MINIMUM(i32))
PACKED_XMM(PMINUD, MINIMUM(u32))
PACKED_XMM(PMAXSB, MAXIMUM(i8))
PACKED_XMM(PMAXUW, MAXIMUM(u16))
PACKED_XMM(PMAXSD, MAXIMUM(i32))
PACKED_XMM(PMAXUD, MAXIMUM(u32))

// The magnitude in unsigned arithmetic: the most negative value stays what it is.
PACKED(PABSB, map<u8>(b, [](u8 x) { return x >> 7 ? -x : x; }))
PACKED(PABSW, map<u16>(b, [](u16 x) { return x >> 15 ? -x : x; }))
PACKED(PABSD, map<u32>(b, [](u32 x) { return x >> 31 ? u32{0} - x : x; }))

#define SIGN(T, U) \
  map<T>(a, b, [](T x, T y) { return y < 0 ? static_cast<T>(U{0} - static_cast<U>(x)) : y == 0 ? T{0} : x; })
PACKED(PSIGNB, SIGN(i8, u8))
PACKED(PSIGNW, SIGN(i16, u16))
PACKED(PSIGND, SIGN(i32, u32))

PACKED(PHADDW, horizontal<u16>(a, b, [](u16 x, u16 y) { return x + y; }))
PACKED(PHADDD, horizontal<u32>(a, b, [](u32 x, u32 y) { return x + y; }))
PACKED(PHADDSW, horizontal<i16>(a, b, [](i16 x, i16 y) { return saturate<i16>(x + y); }))
PACKED(PHSUBW, horizontal<u16>(a, b, [](u16 x, u16 y) { return x - y; }))
PACKED(PHSUBD, horizontal<u32>(a, b, [](u32 x, u32 y) { return x - y; }))
PACKED(PHSUBSW, horizontal<i16>(a, b, [](i16 x, i16 y) { return saturate<i16>(x - y); }))

namespace {

// Signed products of neighbouring words, added. Unsigned sums: the one overflow (all four 0x8000) wraps.
template <class V>
[[gnu::always_inline]] inline V multiply_add_words(const V& a, const V& b) {
  const auto x = split<i16>(a), y = split<i16>(b);
  Lanes<u32, V> r;
  for (std::size_t i = 0; i < r.size(); i++) {
    r[i] = static_cast<u32>(x[2 * i] * y[2 * i]) + static_cast<u32>(x[2 * i + 1] * y[2 * i + 1]);
  }
  return join<V>(r);
}

// Unsigned bytes of a times signed bytes of b.
template <class V>
[[gnu::always_inline]] inline V multiply_add_bytes(const V& a, const V& b) {
  const auto x = split<u8>(a);
  const auto y = split<i8>(b);
  Lanes<i16, V> r;
  for (std::size_t i = 0; i < r.size(); i++) {
    r[i] = saturate<i16>(x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1]);
  }
  return join<V>(r);
}

template <class V>
[[gnu::always_inline]] inline V sum_of_differences(const V& a, const V& b) {
  const auto x = split<u8>(a), y = split<u8>(b);
  Lanes<u64, V> r{};
  for (std::size_t i = 0; i < x.size(); i++) r[i / 8] += static_cast<u64>(x[i] > y[i] ? x[i] - y[i] : y[i] - x[i]);
  return join<V>(r);
}

}  // namespace

PACKED(PMADDWD, multiply_add_words(a, b))
PACKED(PMADDUBSW, multiply_add_bytes(a, b))
PACKED(PSADBW, sum_of_differences(a, b))

}  // namespace rondo::software
