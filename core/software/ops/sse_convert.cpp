// SSE conversions (SDM 1 5.5.1.6, 5.6.1.6, 11.4.1.6).
#include "core/fp/convert.h"
#include "core/software/ops/sse_fp.h"

namespace rondo::software {
namespace {

template <class Int>
using Unsigned = std::make_unsigned_t<Int>;

// --- Scalar: general register or memory -> floating point

template <class F, class Int>
[[gnu::noinline]] bool from_integer_soft(Vcpu& cpu, const Op* op, Int value) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  const auto result = fp::from_integer<F>(value, context);
  if (!accept_flags(cpu, context)) return false;
  set_lane(cpu.arch.xmm[op->dst], 0, result);
  return true;
}

template <class F, class Int>
[[gnu::always_inline]] inline bool from_integer(Vcpu& cpu, const Op* op, Int value) {
  constexpr bool kExact = sizeof(Int) == 4 && F::precision == 53;
  if (!kExact && !fp::fast_mode(cpu.arch.mxcsr)) [[unlikely]]
    return from_integer_soft<F, Int>(cpu, op, value);
  set_lane(cpu.arch.xmm[op->dst], 0, fp::from_host<F>(static_cast<typename fp::HostFloat<F>::Type>(value)));
  return true;
}

template <class F, class Int>
const Op* from_integer_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const Int value = static_cast<Int>(cpu.reg<Unsigned<Int>>(op->src));
  if (!from_integer<F, Int>(cpu, op, value)) [[unlikely]]
    return leave_with_fault(cpu, op);
  return next(cpu, op);
}
template <class F, class Int>
const Op* from_integer_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto value = load<Unsigned<Int>>(cpu, op);
  if (value.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  if (!from_integer<F, Int>(cpu, op, static_cast<Int>(value.value))) [[unlikely]]
    return leave_with_fault(cpu, op);
  return finish(cpu, op, value.status);
}

template <class F>
Handler lower_from_integer(const Instruction& instruction, Op& op) {
  const bool wide = instruction.operand_bytes == 8;
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return wide ? &from_integer_memory<F, i64> : &from_integer_memory<F, i32>;
  op.src = slot_of(instruction.operands[1]);
  return wide ? &from_integer_reg<F, i64> : &from_integer_reg<F, i32>;
}

// --- Scalar: floating point -> general register

template <class F, class Int, bool truncate>
[[gnu::noinline]] bool to_integer_soft(Vcpu& cpu, const Op* op, typename F::Bits bits) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  const fp::Rounding mode = truncate ? fp::Rounding::zero : context.rounding;
  const Int result = fp::to_integer<Int>(fp::unpack<F>(bits, context), mode, context);
  if (!accept_flags(cpu, context)) return false;
  cpu.set_reg<Unsigned<Int>>(op->dst, static_cast<Unsigned<Int>>(result));
  return true;
}

template <class F, class Int, bool truncate>
[[gnu::always_inline]] inline bool to_integer(Vcpu& cpu, const Op* op, typename F::Bits bits) {
  if constexpr (truncate) {
    // In range, and #P (all that could be raised) already set and masked.
    using Host = typename fp::HostFloat<F>::Type;
    constexpr Host kLimit = sizeof(Int) == 4 ? Host{0x1p31f} : Host{0x1p63f};
    const Host value = fp::to_host<F>(bits);
    if (value < kLimit && value > -kLimit && (cpu.arch.mxcsr & 0x1020) == 0x1020) [[likely]] {
      cpu.set_reg<Unsigned<Int>>(op->dst, static_cast<Unsigned<Int>>(static_cast<Int>(value)));
      return true;
    }
  }
  return to_integer_soft<F, Int, truncate>(cpu, op, bits);
}

template <class F, class Int, bool truncate>
const Op* to_integer_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (!to_integer<F, Int, truncate>(cpu, op, get_lane<typename F::Bits>(cpu.arch.xmm[op->src], 0))) [[unlikely]] {
    return leave_with_fault(cpu, op);
  }
  return next(cpu, op);
}
template <class F, class Int, bool truncate>
const Op* to_integer_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto bits = load<typename F::Bits>(cpu, op);
  if (bits.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  if (!to_integer<F, Int, truncate>(cpu, op, bits.value)) [[unlikely]]
    return leave_with_fault(cpu, op);
  return finish(cpu, op, bits.status);
}

template <class F, bool truncate>
Handler lower_to_integer(const Instruction& instruction, Op& op) {
  const bool wide = instruction.operand_bytes == 8;
  op.dst = slot_of(instruction.operands[0]);
  if (is_memory(instruction.operands[1])) {
    return wide ? &to_integer_memory<F, i64, truncate> : &to_integer_memory<F, i32, truncate>;
  }
  op.src = instruction.operands[1].reg;
  return wide ? &to_integer_reg<F, i64, truncate> : &to_integer_reg<F, i32, truncate>;
}

// --- Scalar: between the formats

template <class To, class From>
[[gnu::noinline]] bool change_format_soft(Vcpu& cpu, const Op* op, typename From::Bits bits) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  const auto result = fp::convert<To, From>(bits, context);
  if (!accept_flags(cpu, context)) return false;
  set_lane(cpu.arch.xmm[op->dst], 0, result);
  return true;
}

template <class To, class From>
[[gnu::always_inline]] inline bool change_format(Vcpu& cpu, const Op* op, typename From::Bits bits) {
  using Host = typename fp::HostFloat<To>::Type;
  const auto result = fp::from_host<To>(static_cast<Host>(fp::to_host<From>(bits)));
  const bool fast = To::precision == 53 ? fp::detail::is_plain<From>(bits)  // exact: raises nothing
                                        : fp::fast_mode(cpu.arch.mxcsr) &&
                                              (fp::detail::is_safe<To>(result) ? fp::detail::is_normal<From>(bits)
                                                                               : fp::detail::is_zero<From>(bits));
  if (!fast) [[unlikely]]
    return change_format_soft<To, From>(cpu, op, bits);
  set_lane(cpu.arch.xmm[op->dst], 0, result);
  return true;
}

template <class To, class From>
const Op* change_format_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (!change_format<To, From>(cpu, op, get_lane<typename From::Bits>(cpu.arch.xmm[op->src], 0))) [[unlikely]] {
    return leave_with_fault(cpu, op);
  }
  return next(cpu, op);
}
template <class To, class From>
const Op* change_format_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto bits = load<typename From::Bits>(cpu, op);
  if (bits.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  if (!change_format<To, From>(cpu, op, bits.value)) [[unlikely]]
    return leave_with_fault(cpu, op);
  return finish(cpu, op, bits.status);
}

template <class To, class From>
Handler lower_change_format(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &change_format_memory<To, From>;
  op.src = instruction.operands[1].reg;
  return &change_format_reg<To, From>;
}

// --- Packed. A conversion of one element: C::To, C::From are the element types; C::convert(value, context).

template <class ToFormat, class FromFormat>
struct FormatToFormat {
  using To = typename ToFormat::Bits;
  using From = typename FromFormat::Bits;
  static To convert(From value, fp::Context& context) { return fp::convert<ToFormat, FromFormat>(value, context); }
};
template <class ToFormat>
struct IntegerToFormat {
  using To = typename ToFormat::Bits;
  using From = u32;
  static To convert(From value, fp::Context& context) {
    return fp::from_integer<ToFormat>(static_cast<i32>(value), context);
  }
};
template <class FromFormat, bool truncate>
struct FormatToInteger {
  using To = u32;
  using From = typename FromFormat::Bits;
  static To convert(From value, fp::Context& context) {
    const fp::Rounding mode = truncate ? fp::Rounding::zero : context.rounding;
    return static_cast<u32>(fp::to_integer<i32>(fp::unpack<FromFormat>(value, context), mode, context));
  }
};

// Converts as many elements as both vectors hold; the rest of the result is zero (CVTPD2PS) or, for an 8-byte source in
// an XMM register, was never read.
template <class C, class Destination, class SourceVector>
Destination convert_lanes(Vcpu& cpu, const SourceVector& v) {
  fp::Context context = fp::sse_context(cpu.arch.mxcsr);
  const auto from = split<typename C::From>(v);
  Lanes<typename C::To, Destination> to{};
  for (std::size_t i = 0; i < to.size() && i < from.size(); i++) to[i] = C::convert(from[i], context);
  require_flags(cpu, context);
  return join<Destination>(to);
}

template <class C>
void convert_packed(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  constexpr unsigned kSize = 16 / (sizeof(typename C::To) > sizeof(typename C::From) ? 2 : 1);
  const Xmm v = read_xmm_operand(cpu, op, kSize, kSize == 16);
  cpu.arch.xmm[op.dst] = convert_lanes<C, Xmm>(cpu, v);
}

template <class C>
Handler lower_packed(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  op.aux = is_memory(instruction.operands[1]);
  op.src = op.aux ? u8{0} : instruction.operands[1].reg;
  return &cold<&convert_packed<C>>;
}

// XMM -> MMX: CVTPS2PI reads 8 bytes from memory, CVTPD2PI 16.
template <class C>
void convert_to_mmx(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  require_mmx(cpu);
  constexpr unsigned kSize = 2 * sizeof(typename C::From);
  const Xmm v = read_xmm_operand(cpu, op, kSize, kSize == 16);
  enter_mmx(cpu);  // even if #XM follows (found on the silicon)
  const u64 result = convert_lanes<C, u64>(cpu, v);
  write_mmx(cpu, op.dst, result);
}

// MMX or memory -> XMM: CVTPI2PS keeps the upper half, CVTPI2PD fills the register.
template <class C>
void convert_from_mmx(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  const bool from_register = op.aux == 0;
  constexpr bool kDouble = sizeof(typename C::To) == 8;
  // With a memory operand it has nothing to do with MMX (SDM 2, CVTPI2PD; the silicon does the same for CVTPI2PS).
  if (from_register) require_mmx(cpu);
  u64 v = cpu.arch.fpu.significand[op.src];
  if (!from_register) read_wide(cpu, op, &v, 8, false);
  if (from_register) enter_mmx(cpu);
  Xmm result = convert_lanes<C, Xmm>(cpu, v);
  if constexpr (!kDouble) result.lane[1] = cpu.arch.xmm[op.dst].lane[1];
  cpu.arch.xmm[op.dst] = result;
}

template <auto body>
Handler lower_mmx_conversion(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  op.aux = is_memory(instruction.operands[1]);
  op.src = op.aux ? u8{0} : instruction.operands[1].reg;
  return &cold<body>;
}

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(CVTSI2SS, lower_from_integer<Binary32>)
LOWER(CVTSI2SD, lower_from_integer<Binary64>)
LOWER(CVTSS2SI, lower_to_integer<Binary32, false>)
LOWER(CVTSD2SI, lower_to_integer<Binary64, false>)
LOWER(CVTTSS2SI, lower_to_integer<Binary32, true>)
LOWER(CVTTSD2SI, lower_to_integer<Binary64, true>)
LOWER(CVTSS2SD, lower_change_format<Binary64, Binary32>)
LOWER(CVTSD2SS, lower_change_format<Binary32, Binary64>)
LOWER(CVTPS2PD, lower_packed<FormatToFormat<Binary64, Binary32>>)
LOWER(CVTPD2PS, lower_packed<FormatToFormat<Binary32, Binary64>>)
LOWER(CVTDQ2PS, lower_packed<IntegerToFormat<Binary32>>)
LOWER(CVTDQ2PD, lower_packed<IntegerToFormat<Binary64>>)
LOWER(CVTPS2DQ, lower_packed<FormatToInteger<Binary32, false>>)
LOWER(CVTTPS2DQ, lower_packed<FormatToInteger<Binary32, true>>)
LOWER(CVTPD2DQ, lower_packed<FormatToInteger<Binary64, false>>)
LOWER(CVTTPD2DQ, lower_packed<FormatToInteger<Binary64, true>>)
LOWER(CVTPS2PI, lower_mmx_conversion<&convert_to_mmx<FormatToInteger<Binary32, false>>>)
LOWER(CVTTPS2PI, lower_mmx_conversion<&convert_to_mmx<FormatToInteger<Binary32, true>>>)
LOWER(CVTPD2PI, lower_mmx_conversion<&convert_to_mmx<FormatToInteger<Binary64, false>>>)
LOWER(CVTTPD2PI, lower_mmx_conversion<&convert_to_mmx<FormatToInteger<Binary64, true>>>)
LOWER(CVTPI2PS, lower_mmx_conversion<&convert_from_mmx<IntegerToFormat<Binary32>>>)
LOWER(CVTPI2PD, lower_mmx_conversion<&convert_from_mmx<IntegerToFormat<Binary64>>>)

}  // namespace rondo::software
