// Decimal adjustment as pure functions (SDM 2A). OF, and what else is undefined, is cleared; SF, ZF and PF follow AL.
#pragma once

#include "core/cpu/lazy_flags.h"

namespace rondo {

struct DecimalResult {
  u16 ax;
  LazyFlags flags;
};

namespace detail {
inline LazyFlags decimal_flags(u8 al, bool carry, bool aux) {
  return {sign_extend(al), (carry ? u64{3} << 62 : 0) | (aux ? 8 : 0)};
}
}  // namespace detail

inline DecimalResult decimal_aaa(u16 ax, LazyFlags before) {
  const bool adjust = (ax & 0xf) > 9 || before.af();
  const u16 r = static_cast<u16>((adjust ? ax + 0x106 : ax) & 0xff0f);
  return {r, detail::decimal_flags(static_cast<u8>(r), adjust, adjust)};
}

inline DecimalResult decimal_aas(u16 ax, LazyFlags before) {
  const bool adjust = (ax & 0xf) > 9 || before.af();
  const u16 r = static_cast<u16>((adjust ? ax - 0x106 : ax) & 0xff0f);
  return {r, detail::decimal_flags(static_cast<u8>(r), adjust, adjust)};
}

inline DecimalResult decimal_daa(u16 ax, LazyFlags before) {
  const u8 old = static_cast<u8>(ax);
  const bool low = (old & 0xf) > 9 || before.af();
  const bool high = old > 0x99 || before.cf();
  const u8 al = static_cast<u8>(old + (low ? 0x06 : 0) + (high ? 0x60 : 0));
  return {static_cast<u16>((ax & 0xff00) | al), detail::decimal_flags(al, high, low)};
}

// CF is also set by the borrow of the low digit's adjustment.
inline DecimalResult decimal_das(u16 ax, LazyFlags before) {
  const u8 old = static_cast<u8>(ax);
  const bool low = (old & 0xf) > 9 || before.af();
  const bool high = old > 0x99 || before.cf();
  const u8 al = static_cast<u8>(old - (low ? 0x06 : 0) - (high ? 0x60 : 0));
  const bool carry = high || (low && old < 6);
  return {static_cast<u16>((ax & 0xff00) | al), detail::decimal_flags(al, carry, low)};
}

// The undefined flags are those of the addition, as on AMD's processors.
inline DecimalResult decimal_aad(u16 ax, u8 base) {
  const AluResult<u8> sum = alu_add<u8>(static_cast<u8>(ax), static_cast<u8>((ax >> 8) * base));
  return {sum.value, sum.flags};
}

// base is not zero (#DE).
inline DecimalResult decimal_aam(u16 ax, u8 base) {
  const u8 old = static_cast<u8>(ax), al = old % base;
  return {static_cast<u16>((old / base) << 8 | al), detail::decimal_flags(al, false, false)};
}

}  // namespace rondo
