// SSE floating-point comparisons, rounding and reciprocal approximations (SDM 1 5.5.1.3, 5.6.1.3, 5.10.7).
#include "core/fp/convert.h"
#include "core/software/ops/sse_fp.h"

namespace rondo::software {
namespace {

// --- COMISx, UCOMISx: ZF, PF, CF; OF, SF, AF are cleared (SDM 2, COMISD).

void set_compare_flags(Vcpu& cpu, fp::Ordering ordering) {
  switch (ordering) {
    case fp::Ordering::less:
      cpu.lazy = LazyFlags::from_rflags(flags::CF);
      break;
    case fp::Ordering::equal:
      cpu.lazy = LazyFlags::from_rflags(flags::ZF);
      break;
    case fp::Ordering::greater:
      cpu.lazy = LazyFlags::from_rflags(0);
      break;
    case fp::Ordering::unordered:
      cpu.lazy = LazyFlags::from_rflags(flags::ZF | flags::PF | flags::CF);
      break;
  }
}

// The soft paths are never inlined: their Context on the stack would keep the handlers from ending in sibling calls.
template <class F, fp::NanCompare nans>
[[gnu::noinline]] bool compare_soft(Vcpu& cpu, typename F::Bits a, typename F::Bits b) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  const fp::Ordering ordering = fp::compare<F>(a, b, nans, context);
  if (!accept_flags(cpu, context)) return false;
  set_compare_flags(cpu, ordering);
  return true;
}

template <class F>
[[gnu::always_inline]] inline bool compare_fast(Vcpu& cpu, typename F::Bits a, typename F::Bits b) {
  if (!fp::fast_comparable<F>(a, b)) return false;
  const auto x = fp::to_host<F>(a), y = fp::to_host<F>(b);
  set_compare_flags(cpu, x < y ? fp::Ordering::less : x == y ? fp::Ordering::equal : fp::Ordering::greater);
  return true;
}

template <class F>
typename F::Bits low_lane(const Vcpu& cpu, unsigned reg) {
  return get_lane<typename F::Bits>(cpu.arch.xmm[reg], 0);
}

template <class F, fp::NanCompare nans>
[[gnu::noinline]] const Op* compare_with_reg_slow(Vcpu& cpu, const Op* op) {
  if (!compare_soft<F, nans>(cpu, low_lane<F>(cpu, op->dst), low_lane<F>(cpu, op->src)))
    return leave_with_fault(cpu, op);
  return next(cpu, op);
}
template <class F, fp::NanCompare nans>
const Op* compare_with_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (!compare_fast<F>(cpu, low_lane<F>(cpu, op->dst), low_lane<F>(cpu, op->src))) [[unlikely]] {
    return compare_with_reg_slow<F, nans>(cpu, op);
  }
  return next(cpu, op);
}

template <class F, fp::NanCompare nans>
[[gnu::noinline]] const Op* compare_with_memory_slow(Vcpu& cpu, const Op* op) {
  const auto b = load<typename F::Bits>(cpu, op);
  if (b.status == MemStatus::fault) return leave_with_fault(cpu, op);
  if (!compare_soft<F, nans>(cpu, low_lane<F>(cpu, op->dst), b.value)) return leave_with_fault(cpu, op);
  return finish(cpu, op, b.status);
}
template <class F, fp::NanCompare nans>
const Op* compare_with_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  using Bits = typename F::Bits;
  const u8* bytes = direct_load<sizeof(Bits), false>(cpu, op);
  if (!bytes || !compare_fast<F>(cpu, low_lane<F>(cpu, op->dst), from_bytes<Bits>(bytes))) [[unlikely]] {
    return compare_with_memory_slow<F, nans>(cpu, op);
  }
  return next(cpu, op);
}

template <class F, fp::NanCompare nans>
Handler lower_compare(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &compare_with_memory<F, nans>;
  op.src = instruction.operands[1].reg;
  return &compare_with_reg<F, nans>;
}

// --- CMPxx, ROUNDxx: one or all lanes with an immediate. R::lane<F>(a, b, imm, context).
// Op::aux: the source is memory.

struct Predicate {
  template <class F>
  static typename F::Bits lane(typename F::Bits a, typename F::Bits b, unsigned imm, fp::Context& context) {
    using Bits = typename F::Bits;
    return fp::compare_predicate<F>(a, b, imm & 7, context) ? static_cast<Bits>(~Bits{0}) : Bits{0};
  }
};

// imm[1:0] RC, imm[2] use MXCSR.RC instead, imm[3] do not report #P.
struct RoundToIntegral {
  template <class F>
  static typename F::Bits lane(typename F::Bits, typename F::Bits b, unsigned imm, fp::Context& context) {
    const fp::Rounding mode = imm & 4 ? context.rounding : static_cast<fp::Rounding>(imm & 3);
    const u8 before = context.flags;
    const auto result = fp::round_to_integral<F>(fp::without_denormal(fp::unpack<F>(b, context)), mode, context);
    if (imm & 8) context.flags = static_cast<u8>((context.flags & ~fp::kInexact) | (before & fp::kInexact));
    return result;
  }
};

template <class F, class R, bool scalar>
void lanes_with_immediate(Vcpu& cpu, const Op& op) {
  using Bits = typename F::Bits;
  require_sse(cpu);
  const Xmm b = read_xmm_operand(cpu, op, scalar ? sizeof(Bits) : 16, !scalar);
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  auto x = split<Bits>(cpu.arch.xmm[op.dst]);
  const auto y = split<Bits>(b);
  for (std::size_t i = 0; i < (scalar ? 1 : x.size()); i++) {
    x[i] = R::template lane<F>(x[i], y[i], static_cast<unsigned>(op.imm & 0xff), context);
  }
  require_flags(cpu, context);
  cpu.arch.xmm[op.dst] = join<Xmm>(x);
}

template <class F, class R, bool scalar>
Handler lower_with_immediate(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  op.aux = is_memory(instruction.operands[1]);
  op.src = op.aux ? u8{0} : instruction.operands[1].reg;
  return &cold<&lanes_with_immediate<F, R, scalar>>;
}

// --- RCPxS, RSQRTxS. SDM promises a relative error of at most 1.5 * 2^-12 and leaves the rest to the processor. The
// profile of rondo-v1: the exact value rounded to nearest at 12 significand bits; denormal operands count as zeros,
// tiny results become zeros; no exceptions.

u32 at_twelve_bits(u32 bits) {
  const u32 half = 0x7ff, odd = bits >> 12 & 1;
  return (bits + half + odd) & ~u32{0xfff};
}

struct Reciprocal {
  [[gnu::noinline]] static u32 apply(u32 value) {
    fp::Context context;
    context.daz = context.ftz = true;
    if (fp::unpack<Binary32>(value).is_nan()) return fp::quiet_nan<Binary32>(fp::unpack<Binary32>(value));
    if ((value & 0x7fffffff) >= 0x7e800000) return value & 0x80000000;  // from 2^126 on the result counts as tiny
    const u32 exact = fp::div<Binary32>(0x3f800000, value, context);
    return (exact & 0x7f800000) == 0x7f800000 ? exact : at_twelve_bits(exact);
  }
};
struct ReciprocalSqrt {
  [[gnu::noinline]] static u32 apply(u32 value) {
    fp::Context context;
    context.daz = context.ftz = true;
    const fp::Unpacked x = fp::unpack<Binary32>(value, true);
    if (x.is_nan()) return fp::quiet_nan<Binary32>(x);
    if (x.kind == fp::Class::zero) return fp::infinity<Binary32>(x.sign);
    // In binary64 the double rounding is harmless: 12 bits are kept of at least 50 good ones.
    const u64 root = fp::sqrt<Binary64>(x, context);
    const u64 quotient = fp::div<Binary64>(u64{0x3ff} << 52, root, context);
    const u32 exact = fp::convert<Binary32, Binary64>(quotient, context);
    return (exact & 0x7f800000) == 0x7f800000 ? exact : at_twelve_bits(exact);
  }
};

template <class A>
struct ApproximatePacked : Packed {
  template <class V>
  static V apply(const V&, const V& b) {
    return map<u32>(b, [](u32 x) { return A::apply(x); });
  }
};
template <class A>
struct ApproximateScalar : PartialSource<4> {
  template <class V>
  static V apply(const V& a, const V& b) {
    auto x = split<u32>(a);
    x[0] = A::apply(split<u32>(b)[0]);
    return join<V>(x);
  }
};

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(COMISS, lower_compare<Binary32, fp::NanCompare::signaling>)
LOWER(COMISD, lower_compare<Binary64, fp::NanCompare::signaling>)
LOWER(UCOMISS, lower_compare<Binary32, fp::NanCompare::quiet>)
LOWER(UCOMISD, lower_compare<Binary64, fp::NanCompare::quiet>)
LOWER(CMPSS, lower_with_immediate<Binary32, Predicate, true>)
LOWER(CMPSD, lower_with_immediate<Binary64, Predicate, true>)
LOWER(CMPPS, lower_with_immediate<Binary32, Predicate, false>)
LOWER(CMPPD, lower_with_immediate<Binary64, Predicate, false>)
LOWER(ROUNDSS, lower_with_immediate<Binary32, RoundToIntegral, true>)
LOWER(ROUNDSD, lower_with_immediate<Binary64, RoundToIntegral, true>)
LOWER(ROUNDPS, lower_with_immediate<Binary32, RoundToIntegral, false>)
LOWER(ROUNDPD, lower_with_immediate<Binary64, RoundToIntegral, false>)
LOWER(RCPPS, lower_xmm<ApproximatePacked<Reciprocal>>)
LOWER(RCPSS, lower_xmm<ApproximateScalar<Reciprocal>>)
LOWER(RSQRTPS, lower_xmm<ApproximatePacked<ReciprocalSqrt>>)
LOWER(RSQRTSS, lower_xmm<ApproximateScalar<ReciprocalSqrt>>)

}  // namespace rondo::software
