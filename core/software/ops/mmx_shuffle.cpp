// Packing, unpacking, shuffling, blending and widening (SDM 1 5.4.2, 5.5.1.4, 5.6.1.4, 5.6.3, 5.7.4, 5.8, 5.10).
#include "core/software/ops/simd.h"

namespace rondo::software {

#define PACKED(name, ...) RONDO_PACKED(name, lower_mmx_or_xmm, __VA_ARGS__)
#define PACKED_XMM(name, ...) RONDO_PACKED(name, lower_xmm, __VA_ARGS__)
#define PACKED_IMM(name, ...) RONDO_PACKED_IMM(name, lower_mmx_or_xmm, __VA_ARGS__)
#define PACKED_XMM_IMM(name, ...) RONDO_PACKED_IMM(name, lower_xmm, __VA_ARGS__)

PACKED(PACKSSWB, (pack_lanes<i16, i8>(a, b)))
PACKED(PACKSSDW, (pack_lanes<i32, i16>(a, b)))
PACKED(PACKUSWB, (pack_lanes<i16, u8>(a, b)))
PACKED_XMM(PACKUSDW, (pack_lanes<i32, u16>(a, b)))

PACKED(PUNPCKHBW, (interleave<u8, true>(a, b)))
PACKED(PUNPCKHWD, (interleave<u16, true>(a, b)))
PACKED(PUNPCKHDQ, (interleave<u32, true>(a, b)))
PACKED_XMM(PUNPCKHQDQ, (interleave<u64, true>(a, b)))
PACKED_XMM(PUNPCKLQDQ, (interleave<u64, false>(a, b)))
PACKED_XMM(UNPCKHPS, (interleave<u32, true>(a, b)))
PACKED_XMM(UNPCKLPS, (interleave<u32, false>(a, b)))
PACKED_XMM(UNPCKHPD, (interleave<u64, true>(a, b)))
PACKED_XMM(UNPCKLPD, (interleave<u64, false>(a, b)))

namespace {

// PUNPCKL: the MMX form reads only 4 bytes from memory, the XMM form 16 (and checks their alignment).
template <class T>
struct UnpackLow : Packed {
  template <class V>
  static constexpr unsigned kMemory = sizeof(V) == 8 ? 4 : 16;
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b) {
    return interleave<T, false>(a, b);
  }
};

// r[i] = v[2-bit field i of imm] for four lanes from `first` on; the others stay.
template <class T, class V>
[[gnu::always_inline]] inline V shuffle_four(const V& v, unsigned imm, std::size_t first = 0) {
  const auto x = split<T>(v);
  auto r = x;
  for (std::size_t i = 0; i < 4; i++) r[first + i] = x[first + (imm >> (2 * i) & 3)];
  return join<V>(r);
}

template <class V>
[[gnu::always_inline]] inline V shuffle_bytes(const V& a, const V& b) {
  const auto x = split<u8>(a), selector = split<u8>(b);
  Lanes<u8, V> r;
  for (std::size_t i = 0; i < r.size(); i++) r[i] = selector[i] & 0x80 ? u8{0} : x[selector[i] & (r.size() - 1)];
  return join<V>(r);
}

template <class V>
[[gnu::always_inline]] inline V shuffle_ps(const V& a, const V& b, unsigned imm) {
  const auto x = split<u32>(a), y = split<u32>(b);
  return join<V>(Lanes<u32, V>{x[imm & 3], x[imm >> 2 & 3], y[imm >> 4 & 3], y[imm >> 6 & 3]});
}

template <class V>
[[gnu::always_inline]] inline V shuffle_pd(const V& a, const V& b, unsigned imm) {
  const auto x = split<u64>(a), y = split<u64>(b);
  return join<V>(Lanes<u64, V>{x[imm & 1], y[imm >> 1 & 1]});
}

// Lane i from b where bit i of imm is set.
template <class T, class V>
[[gnu::always_inline]] inline V blend(const V& a, const V& b, unsigned imm) {
  auto x = split<T>(a);
  const auto y = split<T>(b);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = imm >> i & 1 ? y[i] : x[i];
  return join<V>(x);
}

// r[i] = v[i & ~1 + odd]
template <class T, unsigned odd, class V>
[[gnu::always_inline]] inline V duplicate(const V& v) {
  const auto x = split<T>(v);
  Lanes<T, V> r;
  for (std::size_t i = 0; i < r.size(); i++) r[i] = x[(i & ~std::size_t{1}) + odd];
  return join<V>(r);
}

struct DuplicateDouble : PartialSource<8> {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    return duplicate<u64, 0>(b);
  }
};

// INSERTPS: the register form picks a lane of the source, the memory form reads 4 bytes.
template <class V>
[[gnu::always_inline]] inline V insert_ps(const V& a, u32 value, unsigned imm) {
  auto x = split<u32>(a);
  x[imm >> 4 & 3] = value;
  for (std::size_t i = 0; i < 4; i++) x[i] = imm >> i & 1 ? 0 : x[i];
  return join<V>(x);
}
struct InsertPsFromReg : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b, unsigned imm) {
    return insert_ps(a, split<u32>(b)[imm >> 6 & 3], imm);
  }
};
struct InsertPsFromMemory : PartialSource<4> {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b, unsigned imm) {
    return insert_ps(a, split<u32>(b)[0], imm);
  }
};

// PMOVSX, PMOVZX: the low lanes of the source, widened.
template <class Narrow, class Wide>
struct Widen : PartialSource<16 * sizeof(Narrow) / sizeof(Wide)> {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    const auto x = split<Narrow>(b);
    Lanes<Wide, V> r;
    for (std::size_t i = 0; i < r.size(); i++) r[i] = static_cast<Wide>(x[i]);
    return join<V>(r);
  }
};

}  // namespace

PACKED(PSHUFB, shuffle_bytes(a, b))
RONDO_PACKED_IMM(PALIGNR, lower_mmx_or_xmm, align_right(a, b, imm))
PACKED_IMM(PSHUFW, shuffle_four<u16>(b, imm))
PACKED_XMM_IMM(PSHUFLW, shuffle_four<u16>(b, imm))
PACKED_XMM_IMM(PSHUFHW, shuffle_four<u16>(b, imm, 4))
PACKED_XMM_IMM(PSHUFD, shuffle_four<u32>(b, imm))
PACKED_XMM_IMM(SHUFPS, shuffle_ps(a, b, imm))
PACKED_XMM_IMM(SHUFPD, shuffle_pd(a, b, imm))
PACKED_XMM_IMM(BLENDPS, blend<u32>(a, b, imm))
PACKED_XMM_IMM(BLENDPD, blend<u64>(a, b, imm))
PACKED_XMM_IMM(PBLENDW, blend<u16>(a, b, imm))
PACKED_XMM(MOVSHDUP, (duplicate<u32, 1>(b)))
PACKED_XMM(MOVSLDUP, (duplicate<u32, 0>(b)))

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(PUNPCKLBW, lower_mmx_or_xmm<UnpackLow<u8>>)
LOWER(PUNPCKLWD, lower_mmx_or_xmm<UnpackLow<u16>>)
LOWER(PUNPCKLDQ, lower_mmx_or_xmm<UnpackLow<u32>>)
LOWER(MOVDDUP, lower_xmm<DuplicateDouble>)
LOWER(PMOVSXBW, lower_xmm<Widen<i8, i16>>)
LOWER(PMOVSXBD, lower_xmm<Widen<i8, i32>>)
LOWER(PMOVSXBQ, lower_xmm<Widen<i8, i64>>)
LOWER(PMOVSXWD, lower_xmm<Widen<i16, i32>>)
LOWER(PMOVSXWQ, lower_xmm<Widen<i16, i64>>)
LOWER(PMOVSXDQ, lower_xmm<Widen<i32, i64>>)
LOWER(PMOVZXBW, lower_xmm<Widen<u8, u16>>)
LOWER(PMOVZXBD, lower_xmm<Widen<u8, u32>>)
LOWER(PMOVZXBQ, lower_xmm<Widen<u8, u64>>)
LOWER(PMOVZXWD, lower_xmm<Widen<u16, u32>>)
LOWER(PMOVZXWQ, lower_xmm<Widen<u16, u64>>)
LOWER(PMOVZXDQ, lower_xmm<Widen<u32, u64>>)

template <>
Handler lower<Operation::INSERTPS>(const Instruction& instruction, Op& op, LowerContext&) {
  return is_memory(instruction.operands[1]) ? lower_xmm<InsertPsFromMemory>(instruction, op)
                                            : lower_xmm<InsertPsFromReg>(instruction, op);
}

// Variable blends: the mask is XMM0, the top bit of each lane chooses.
namespace {

template <class T>
[[gnu::always_inline]] inline Xmm blend_by_mask(const Xmm& a, const Xmm& b, const Xmm& mask) {
  auto x = split<T>(a);
  const auto y = split<T>(b), m = split<T>(mask);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = m[i] >> (8 * sizeof(T) - 1) ? y[i] : x[i];
  return join<Xmm>(x);
}

template <class T>
const Op* blend_from_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  auto& xmm = cpu.arch.xmm;
  xmm[op->dst] = blend_by_mask<T>(xmm[op->dst], xmm[op->src], xmm[0]);
  return next(cpu, op);
}

template <class T>
const Op* blend_from_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const Source s = slow_source(cpu, op, 16, true);
  if (s.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  auto& xmm = cpu.arch.xmm;
  xmm[op->dst] = blend_by_mask<T>(xmm[op->dst], from_bytes<Xmm>(s.bytes), xmm[0]);
  return finish(cpu, op, s.status);
}

template <class T>
Handler lower_variable_blend(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &blend_from_memory<T>;
  op.src = instruction.operands[1].reg;
  return &blend_from_reg<T>;
}

}  // namespace

LOWER(PBLENDVB, lower_variable_blend<u8>)
LOWER(BLENDVPS, lower_variable_blend<u32>)
LOWER(BLENDVPD, lower_variable_blend<u64>)

}  // namespace rondo::software
