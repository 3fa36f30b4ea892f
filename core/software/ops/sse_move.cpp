// Moves of whole XMM registers, of their halves and of scalars (SDM 1 5.5.1.1, 5.6.1.1, 5.6.3, 5.6.4, 5.7, 5.10.3).
// The non-temporal forms are plain stores: caches do not exist here.
#include "core/software/ops/simd.h"

namespace rondo::software {
namespace {

template <bool aligned>
struct Copy : Packed {
  static constexpr bool kAligned = aligned;
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    return b;
  }
};

// A scalar load clears the rest of the register...
template <unsigned size>
struct LoadScalar : PartialSource<size> {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    return b;
  }
};
// ... a scalar move between registers keeps it.
template <class T>
struct MergeScalar : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b) {
    auto x = split<T>(a);
    x[0] = split<T>(b)[0];
    return join<V>(x);
  }
};

// r = {from, from}: quadwords picked from a (0, 1) and b (2, 3).
template <unsigned low, unsigned high, class Base>
struct PickQuads : Base {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b) {
    const u64 quads[4] = {a.lane[0], a.lane[1], b.lane[0], b.lane[1]};
    return V{{quads[low], quads[high]}};
  }
};

template <unsigned size, bool aligned, unsigned quad>
[[gnu::noinline]] const Op* store_xmm_slow(Vcpu& cpu, const Op* op) {
  return finish(cpu, op, slow_store_bytes(cpu, op, size, aligned, &cpu.arch.xmm[op->src].lane[quad]));
}
template <unsigned size, bool aligned, unsigned quad>
const Op* store_xmm(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  u8* to = direct_store<size, aligned>(cpu, op);
  if (!to) [[unlikely]]
    return store_xmm_slow<size, aligned, quad>(cpu, op);
  std::memcpy(to, &cpu.arch.xmm[op->src].lane[quad], size);
  return next(cpu, op);
}

template <unsigned size, bool aligned, unsigned quad = 0>
Handler lower_store(const Instruction& instruction, Op& op) {
  op.src = instruction.operands[1].reg;
  return &store_xmm<size, aligned, quad>;
}

template <bool aligned>
Handler lower_full_move(const Instruction& instruction, Op& op) {
  if (is_memory(instruction.operands[0])) return lower_store<16, aligned>(instruction, op);
  return lower_xmm<Copy<aligned>>(instruction, op);
}

template <class T>
Handler lower_scalar_move(const Instruction& instruction, Op& op) {
  if (is_memory(instruction.operands[0])) return lower_store<sizeof(T), false>(instruction, op);
  if (is_memory(instruction.operands[1])) return lower_xmm<LoadScalar<sizeof(T)>>(instruction, op);
  return lower_xmm<MergeScalar<T>>(instruction, op);
}

Handler lower_low_half(const Instruction& instruction, Op& op) {
  if (is_memory(instruction.operands[0])) return lower_store<8, false, 0>(instruction, op);
  return lower_xmm<PickQuads<2, 1, PartialSource<8>>>(instruction, op);
}
Handler lower_high_half(const Instruction& instruction, Op& op) {
  if (is_memory(instruction.operands[0])) return lower_store<8, false, 1>(instruction, op);
  return lower_xmm<PickQuads<0, 2, PartialSource<8>>>(instruction, op);
}

// The top bits of the lanes, gathered into a general register.
template <class T>
const Op* move_mask_xmm(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto x = split<T>(cpu.arch.xmm[op->src]);
  u32 mask = 0;
  for (std::size_t i = 0; i < x.size(); i++) mask |= static_cast<u32>(x[i] >> (8 * sizeof(T) - 1)) << i;
  cpu.set_reg<u32>(op->dst, mask);
  return next(cpu, op);
}

const Op* move_mask_mmx(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  const auto x = split<u8>(cpu.arch.fpu.significand[op->src]);
  u32 mask = 0;
  for (std::size_t i = 0; i < x.size(); i++) mask |= static_cast<u32>(x[i] >> 7) << i;
  cpu.set_reg<u32>(op->dst, mask);
  return next(cpu, op);
}

template <class T>
Handler lower_move_mask(const Instruction& instruction, Op& op) {
  op.dst = slot_of(instruction.operands[0]);
  op.src = instruction.operands[1].reg;
  return instruction.operands[1].kind == OperandKind::mmx ? &move_mask_mmx : &move_mask_xmm<T>;
}

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(MOVAPS, lower_full_move<true>)
LOWER(MOVAPD, lower_full_move<true>)
LOWER(MOVDQA, lower_full_move<true>)
LOWER(MOVUPS, lower_full_move<false>)
LOWER(MOVUPD, lower_full_move<false>)
LOWER(MOVDQU, lower_full_move<false>)
LOWER(LDDQU, lower_full_move<false>)
LOWER(MOVNTDQA, lower_full_move<true>)
LOWER(MOVNTPS, lower_store<16, true>)
LOWER(MOVNTPD, lower_store<16, true>)
LOWER(MOVNTDQ, lower_store<16, true>)
LOWER(MOVSS, lower_scalar_move<u32>)
LOWER(MOVSD, lower_scalar_move<u64>)
LOWER(MOVLPS, lower_low_half)
LOWER(MOVLPD, lower_low_half)
LOWER(MOVHPS, lower_high_half)
LOWER(MOVHPD, lower_high_half)
LOWER(MOVHLPS, lower_xmm<PickQuads<3, 1, Packed>>)
LOWER(MOVLHPS, lower_xmm<PickQuads<0, 2, Packed>>)
LOWER(MOVMSKPS, lower_move_mask<u32>)
LOWER(MOVMSKPD, lower_move_mask<u64>)
LOWER(PMOVMSKB, lower_move_mask<u8>)

}  // namespace rondo::software
