// Packed integer comparison, logic and shifts in MMX and XMM registers (SDM 1 5.4.4-5.4.6, 5.6.3, 5.10, 5.11).
#include "core/software/ops/simd.h"

namespace rondo::software {

#define PACKED(name, ...) RONDO_PACKED(name, lower_mmx_or_xmm, __VA_ARGS__)
#define PACKED_XMM(name, ...) RONDO_PACKED(name, lower_xmm, __VA_ARGS__)

#define EQUAL(T) map<T>(a, b, [](T x, T y) { return x == y ? ~T{0} : T{0}; })
#define GREATER(T) map<T>(a, b, [](T x, T y) { return x > y ? ~T{0} : T{0}; })
PACKED(PCMPEQB, EQUAL(u8))
PACKED(PCMPEQW, EQUAL(u16))
PACKED(PCMPEQD, EQUAL(u32))
PACKED_XMM(PCMPEQQ, EQUAL(u64))
PACKED(PCMPGTB, GREATER(i8))
PACKED(PCMPGTW, GREATER(i16))
PACKED(PCMPGTD, GREATER(i32))
PACKED_XMM(PCMPGTQ, GREATER(i64))

#define BITWISE(expression) map<u64>(a, b, [](u64 x, u64 y) { return expression; })
PACKED(PAND, BITWISE(x& y))
PACKED(PANDN, BITWISE(~x& y))
PACKED(POR, BITWISE(x | y))
PACKED(PXOR, BITWISE(x ^ y))
PACKED_XMM(ANDPS, BITWISE(x& y))
PACKED_XMM(ANDNPS, BITWISE(~x& y))
PACKED_XMM(ORPS, BITWISE(x | y))
PACKED_XMM(XORPS, BITWISE(x ^ y))
PACKED_XMM(ANDPD, BITWISE(x& y))
PACKED_XMM(ANDNPD, BITWISE(~x& y))
PACKED_XMM(ORPD, BITWISE(x | y))
PACKED_XMM(XORPD, BITWISE(x ^ y))

// Shifts. The count is the low quadword of the source, or the immediate; counts of the lane's width or more give zeros
// (sign bits for PSRAx).
namespace {

enum class Shift { left, right, arithmetic };

template <class T, Shift kind, class V>
[[gnu::always_inline]] inline V shift_lanes(const V& v, u64 count) {
  constexpr unsigned kBits = 8 * sizeof(T);
  if constexpr (kind == Shift::arithmetic) {
    const unsigned n = count < kBits ? static_cast<unsigned>(count) : kBits - 1;
    return map<T>(v, [n](T x) { return static_cast<std::make_signed_t<T>>(x) >> n; });
  } else {
    if (count >= kBits) return V{};
    const unsigned n = static_cast<unsigned>(count);
    return map<T>(v, [n](T x) { return static_cast<T>(kind == Shift::left ? x << n : x >> n); });
  }
}

template <class T, Shift kind>
struct ShiftByVector : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b) {
    return shift_lanes<T, kind>(a, low_quad(b));
  }
};

// The immediate form has no source: the handlers see the destination as both.
template <class T, Shift kind>
struct ShiftByImmediate : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V&, unsigned imm) {
    return shift_lanes<T, kind>(a, u64{imm});
  }
};

template <class T, Shift kind>
Handler lower_shift(const Instruction& instruction, Op& op) {
  if (!is_immediate(instruction.operands[1])) return lower_mmx_or_xmm<ShiftByVector<T, kind>>(instruction, op);
  op.dst = op.src = instruction.operands[0].reg;
  return instruction.operands[0].kind == OperandKind::xmm ? &xmm_from_reg<ShiftByImmediate<T, kind>>
                                                          : &mmx_from_reg<ShiftByImmediate<T, kind>>;
}

// Whole-register byte shifts: the bytes shifted in are zeros.
struct ByteShiftLeft : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V&, unsigned imm) {
    return imm >= sizeof(V) ? V{} : align_right(a, V{}, static_cast<unsigned>(sizeof(V)) - imm);
  }
};
struct ByteShiftRight : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V&, unsigned imm) {
    return align_right(V{}, a, imm);
  }
};

template <class O>
Handler lower_byte_shift(const Instruction& instruction, Op& op) {
  op.dst = op.src = instruction.operands[0].reg;
  return &xmm_from_reg<O>;
}

}  // namespace

#define SHIFT(name, T, kind)                                                              \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return lower_shift<T, Shift::kind>(instruction, op);                                  \
  }
SHIFT(PSLLW, u16, left)
SHIFT(PSLLD, u32, left)
SHIFT(PSLLQ, u64, left)
SHIFT(PSRLW, u16, right)
SHIFT(PSRLD, u32, right)
SHIFT(PSRLQ, u64, right)
SHIFT(PSRAW, u16, arithmetic)
SHIFT(PSRAD, u32, arithmetic)

template <>
Handler lower<Operation::PSLLDQ>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_byte_shift<ByteShiftLeft>(instruction, op);
}
template <>
Handler lower<Operation::PSRLDQ>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_byte_shift<ByteShiftRight>(instruction, op);
}

}  // namespace rondo::software
