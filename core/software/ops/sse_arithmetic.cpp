// SSE floating-point arithmetic, scalar, packed and horizontal (SDM 1 5.5.1.2, 5.6.1.2, 5.7.2-5.7.3, 5.10.2).
#include "core/software/ops/sse_fp.h"

namespace rondo::software {

bool accept_flags(Vcpu& cpu, const fp::Context& context) {
  cpu.arch.mxcsr |= context.visible_flags();
  if (context.unmasked() == 0) [[likely]]
    return true;
  cpu.fault = Fault{.vector = cpu.arch.cr4 & cr4::OSXMMEXCPT ? kXM : kUD};
  return false;
}

void require_flags(Vcpu& cpu, const fp::Context& context) {
  if (!accept_flags(cpu, context)) throw Fault(cpu.fault);
}

namespace {

// --- Scalar: the low lane; the rest of the destination stays.

// The soft paths are never inlined: their Context on the stack would keep the handlers from ending in sibling calls.
template <class F, class O>
[[gnu::noinline]] bool scalar_soft(Vcpu& cpu, const Op* op, typename F::Bits b) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  Xmm& dst = cpu.arch.xmm[op->dst];
  const auto result = O::template soft<F>(get_lane<typename F::Bits>(dst, 0), b, context);
  if (!accept_flags(cpu, context)) return false;
  set_lane(dst, 0, result);
  return true;
}

template <class F, class O>
[[gnu::always_inline]] inline bool scalar_fast(Vcpu& cpu, const Op* op, typename F::Bits b) {
  Xmm& dst = cpu.arch.xmm[op->dst];
  typename F::Bits result;
  if (!O::template fast<F>(cpu.arch.mxcsr, get_lane<typename F::Bits>(dst, 0), b, result)) return false;
  set_lane(dst, 0, result);
  return true;
}

template <class F, class O>
[[gnu::noinline]] const Op* scalar_from_reg_slow(Vcpu& cpu, const Op* op) {
  if (!scalar_soft<F, O>(cpu, op, get_lane<typename F::Bits>(cpu.arch.xmm[op->src], 0)))
    return leave_with_fault(cpu, op);
  return next(cpu, op);
}
template <class F, class O>
const Op* scalar_from_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (!scalar_fast<F, O>(cpu, op, get_lane<typename F::Bits>(cpu.arch.xmm[op->src], 0))) [[unlikely]] {
    return scalar_from_reg_slow<F, O>(cpu, op);
  }
  return next(cpu, op);
}

template <class F, class O>
[[gnu::noinline]] const Op* scalar_from_memory_slow(Vcpu& cpu, const Op* op) {
  const auto b = load<typename F::Bits>(cpu, op);
  if (b.status == MemStatus::fault) return leave_with_fault(cpu, op);
  if (!scalar_soft<F, O>(cpu, op, b.value)) return leave_with_fault(cpu, op);
  return finish(cpu, op, b.status);
}
template <class F, class O>
const Op* scalar_from_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  using Bits = typename F::Bits;
  const u8* bytes = direct_load<sizeof(Bits), false>(cpu, op);
  if (!bytes || !scalar_fast<F, O>(cpu, op, from_bytes<Bits>(bytes))) [[unlikely]] {
    return scalar_from_memory_slow<F, O>(cpu, op);
  }
  return next(cpu, op);
}

template <class F, class O>
Handler lower_scalar(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &scalar_from_memory<F, O>;
  op.src = instruction.operands[1].reg;
  return &scalar_from_reg<F, O>;
}

// --- Packed. P::compute<F>(a, b, mxcsr, context) gives all lanes. An exception that is masked in one lane does not
// keep the others from being set; an unmasked one keeps all from being written.

template <class F>
using FpLanes = Lanes<typename F::Bits, Xmm>;

template <class F, class P>
[[gnu::noinline]] bool packed_soft(Vcpu& cpu, const Op* op, const u8* source_bytes) {
  using Bits = typename F::Bits;
  const u32 mxcsr = cpu.arch.mxcsr;
  fp::Context context = fp::sse_context(mxcsr);
  Xmm& dst = cpu.arch.xmm[op->dst];
  const auto result =
      P::template compute<F>(split<Bits>(dst), split<Bits>(from_bytes<Xmm>(source_bytes)), mxcsr, context);
  if (!accept_flags(cpu, context)) return false;
  dst = join<Xmm>(result);
  return true;
}

// All lanes by the fast path, or nothing.
template <class F, class P>
[[gnu::always_inline]] inline bool packed_fast(Vcpu& cpu, const Op* op, const u8* source_bytes) {
  using Bits = typename F::Bits;
  if constexpr (requires(FpLanes<F> v) { P::template fast<F>(v, v, 0u, v); }) {
    Xmm& dst = cpu.arch.xmm[op->dst];
    FpLanes<F> result;
    const bool applies =
        P::template fast<F>(split<Bits>(dst), split<Bits>(from_bytes<Xmm>(source_bytes)), cpu.arch.mxcsr, result);
    if (!applies) return false;
    dst = join<Xmm>(result);
    return true;
  } else {
    return false;
  }
}

inline const u8* source_register(const Vcpu& cpu, const Op* op) {
  return reinterpret_cast<const u8*>(&cpu.arch.xmm[op->src]);
}

template <class F, class P>
[[gnu::noinline]] const Op* packed_from_reg_slow(Vcpu& cpu, const Op* op) {
  if (!packed_soft<F, P>(cpu, op, source_register(cpu, op))) return leave_with_fault(cpu, op);
  return next(cpu, op);
}
template <class F, class P>
const Op* packed_from_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (!packed_fast<F, P>(cpu, op, source_register(cpu, op))) [[unlikely]]
    return packed_from_reg_slow<F, P>(cpu, op);
  return next(cpu, op);
}

template <class F, class P>
[[gnu::noinline]] const Op* packed_from_memory_slow(Vcpu& cpu, const Op* op) {
  const Source s = slow_source(cpu, op, 16, true);
  if (s.status == MemStatus::fault) return leave_with_fault(cpu, op);
  if (!packed_soft<F, P>(cpu, op, s.bytes)) return leave_with_fault(cpu, op);
  return finish(cpu, op, s.status);
}
template <class F, class P>
const Op* packed_from_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const u8* bytes = direct_load<16, true>(cpu, op);
  if (!bytes || !packed_fast<F, P>(cpu, op, bytes)) [[unlikely]]
    return packed_from_memory_slow<F, P>(cpu, op);
  return next(cpu, op);
}

template <class F, class P>
Handler lower_packed(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &packed_from_memory<F, P>;
  op.src = instruction.operands[1].reg;
  return &packed_from_reg<F, P>;
}

template <class O>
struct EachLane {
  template <class F>
  [[gnu::always_inline]] static bool fast(const FpLanes<F>& a, const FpLanes<F>& b, u32 mxcsr, FpLanes<F>& r) {
    bool applies = true;
    for (std::size_t i = 0; i < r.size(); i++) applies = O::template fast<F>(mxcsr, a[i], b[i], r[i]) && applies;
    return applies;
  }
  template <class F>
  static FpLanes<F> compute(const FpLanes<F>& a, const FpLanes<F>& b, u32 mxcsr, fp::Context& context) {
    FpLanes<F> r;
    for (std::size_t i = 0; i < r.size(); i++) r[i] = software::compute<F, O>(a[i], b[i], mxcsr, context);
    return r;
  }
};

// ADDSUB: subtracts in even lanes, adds in odd ones.
struct Alternate {
  template <class F>
  static FpLanes<F> compute(const FpLanes<F>& a, const FpLanes<F>& b, u32 mxcsr, fp::Context& context) {
    FpLanes<F> r;
    for (std::size_t i = 0; i < r.size(); i += 2) {
      r[i] = software::compute<F, FpSub>(a[i], b[i], mxcsr, context);
      r[i + 1] = software::compute<F, FpAdd>(a[i + 1], b[i + 1], mxcsr, context);
    }
    return r;
  }
};

template <class O>
struct Neighbours {
  template <class F>
  static FpLanes<F> compute(const FpLanes<F>& a, const FpLanes<F>& b, u32 mxcsr, fp::Context& context) {
    FpLanes<F> r;
    const std::size_t half = r.size() / 2;
    for (std::size_t i = 0; i < half; i++) {
      r[i] = software::compute<F, O>(a[2 * i], a[2 * i + 1], mxcsr, context);
      r[i + half] = software::compute<F, O>(b[2 * i], b[2 * i + 1], mxcsr, context);
    }
    return r;
  }
};

// DPPS, DPPD: products where imm[7:4] says so (+0 elsewhere), added pairwise, stored where imm[3:0] says so. Each stage
// delivers its own exceptions (SDM 2, DPPS).
template <class F>
void dot_product(Vcpu& cpu, const Op& op) {
  using Bits = typename F::Bits;
  require_sse(cpu);
  const Xmm b = read_xmm_operand(cpu, op, 16, true);
  const auto x = split<Bits>(cpu.arch.xmm[op.dst]), y = split<Bits>(b);
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  FpLanes<F> terms{};
  for (std::size_t i = 0; i < terms.size(); i++) {
    if (op.imm >> (4 + i) & 1) terms[i] = fp::mul<F>(x[i], y[i], context);
  }
  require_flags(cpu, context);
  for (std::size_t width = terms.size() / 2; width > 0; width /= 2) {
    for (std::size_t i = 0; i < width; i++) terms[i] = fp::add<F>(terms[2 * i], terms[2 * i + 1], context);
    require_flags(cpu, context);
  }
  FpLanes<F> r{};
  for (std::size_t i = 0; i < r.size(); i++) r[i] = op.imm >> i & 1 ? terms[0] : Bits{0};
  cpu.arch.xmm[op.dst] = join<Xmm>(r);
}

template <class F>
Handler lower_dot_product(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  op.aux = is_memory(instruction.operands[1]);
  if (!op.aux) op.src = instruction.operands[1].reg;
  return &cold<&dot_product<F>>;
}

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
#define ALL_FORMS(name, O)                             \
  LOWER(name##SS, lower_scalar<Binary32, O>)           \
  LOWER(name##SD, lower_scalar<Binary64, O>)           \
  LOWER(name##PS, lower_packed<Binary32, EachLane<O>>) \
  LOWER(name##PD, lower_packed<Binary64, EachLane<O>>)
ALL_FORMS(ADD, FpAdd)
ALL_FORMS(SUB, FpSub)
ALL_FORMS(MUL, FpMul)
ALL_FORMS(DIV, FpDiv)
ALL_FORMS(SQRT, FpSqrt)
ALL_FORMS(MIN, FpMin)
ALL_FORMS(MAX, FpMax)
LOWER(ADDSUBPS, lower_packed<Binary32, Alternate>)
LOWER(ADDSUBPD, lower_packed<Binary64, Alternate>)
LOWER(HADDPS, lower_packed<Binary32, Neighbours<FpAdd>>)
LOWER(HADDPD, lower_packed<Binary64, Neighbours<FpAdd>>)
LOWER(HSUBPS, lower_packed<Binary32, Neighbours<FpSub>>)
LOWER(HSUBPD, lower_packed<Binary64, Neighbours<FpSub>>)
LOWER(DPPS, lower_dot_product<Binary32>)
LOWER(DPPD, lower_dot_product<Binary64>)

}  // namespace rondo::software
