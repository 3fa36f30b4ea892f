// x87 basic arithmetic (SDM 1 5.2.2) and transcendental functions (5.2.4).
#include "core/fp/arithmetic.h"
#include "core/fp/transcendental.h"
#include "core/fp/x87.h"
#include "core/software/ops/x87.h"

namespace rondo::software {
namespace {

using namespace x87;
using fp::Context;
using fp::Unpacked;

// --- Two operands: ST(dst) = ST(dst) op source, reversed for FSUBR and FDIVR.

using Binary = Ext80 (*)(const Unpacked& a, const Unpacked& b, Context& context);

Ext80 plus(const Unpacked& a, const Unpacked& b, Context& c) { return fp::add<Extended80>(a, b, c); }
Ext80 minus(const Unpacked& a, const Unpacked& b, Context& c) { return fp::sub<Extended80>(a, b, c); }
Ext80 minus_reversed(const Unpacked& a, const Unpacked& b, Context& c) { return fp::sub<Extended80>(b, a, c); }
Ext80 times(const Unpacked& a, const Unpacked& b, Context& c) { return fp::mul<Extended80>(a, b, c); }
Ext80 over(const Unpacked& a, const Unpacked& b, Context& c) { return fp::div<Extended80>(a, b, c); }
Ext80 over_reversed(const Unpacked& a, const Unpacked& b, Context& c) { return fp::div<Extended80>(b, a, c); }

template <Binary f, class M>
void with_memory(Vcpu& cpu, const Op& op) {
  begin(cpu);
  const Unpacked b = read_memory<M>(cpu, op);
  record_memory(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, 0)) {
    if (stack_fault(state, false)) set(state, 0, indefinite());
    return;
  }
  Context context = context_of(state);
  const Ext80 result = f(value(state, 0), b, context);
  if (accept(state, context).result) set(state, 0, result);
}

template <Binary f, bool popping>
void with_register(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, op.dst) || is_empty(state, op.src)) {
    if (!stack_fault(state, false)) return;
    set(state, op.dst, indefinite());
  } else {
    Context context = context_of(state);
    const Ext80 result = f(value(state, op.dst), value(state, op.src), context);
    if (!accept(state, context).result) return;
    set(state, op.dst, result);
  }
  if (popping) pop(state);
}

// FADD ST, ST(i); FADD ST(i), ST; FADD m32/m64.
template <Binary f>
Handler lower_arithmetic(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  const Operand& last = instruction.operands[instruction.operand_count - 1];
  if (is_memory(last))
    return last.size_bytes == 4 ? &cold<&with_memory<f, Binary32>> : &cold<&with_memory<f, Binary64>>;
  op.dst = instruction.operands[0].reg;
  op.src = instruction.operands[1].reg;
  return &cold<&with_register<f, false>>;
}
template <Binary f>
Handler lower_popping(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  op.dst = instruction.operands[0].reg;
  op.src = 0;
  return &cold<&with_register<f, true>>;
}
template <Binary f>
Handler lower_integer(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  const Operand& last = instruction.operands[instruction.operand_count - 1];
  return last.size_bytes == 2 ? &cold<&with_memory<f, i16>> : &cold<&with_memory<f, i32>>;
}

// --- One operand: ST(0) = f(ST(0))

using Unary = Ext80 (*)(const Unpacked& a, Context& context);

template <Unary f>
void in_place(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, 0)) {
    if (stack_fault(state, false)) set(state, 0, indefinite());
    return;
  }
  Context context = context_of(state);
  const Ext80 result = f(value(state, 0), context);
  if (accept(state, context).result) set(state, 0, result);
}

Ext80 round_to_integer(const Unpacked& a, Context& c) { return fp::round_to_integral<Extended80>(a, c.rounding, c); }

// FABS, FCHS: the sign bit of whatever is there.
template <bool absolute>
void change_sign(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, 0)) {
    if (stack_fault(state, false)) set(state, 0, indefinite());
    return;
  }
  set_c1(state, false);
  Ext80 v = get(state, 0);
  v.sign_exponent = static_cast<u16>(absolute ? v.sign_exponent & 0x7fff : v.sign_exponent ^ 0x8000);
  set(state, 0, v);
}

// --- Two operands, result in ST(0) and both kept: FSCALE; FPREM, FPREM1 with the quotient in C0, C3, C1.

void scale_by_power(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, 0) || is_empty(state, 1)) {
    if (stack_fault(state, false)) set(state, 0, indefinite());
    return;
  }
  Context context = context_of(state);
  const Ext80 result = fp::scale(value(state, 0), value(state, 1), context);
  if (accept(state, context).result) set(state, 0, result);
}

template <bool nearest>
void partial_remainder(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  state.status &= static_cast<u16>(~kC2);  // C0 and C3 stay unless there is a quotient
  if (is_empty(state, 0) || is_empty(state, 1)) {
    if (stack_fault(state, false)) set(state, 0, indefinite());
    return;
  }
  Context context = context_of(state);
  const fp::PartialRemainder r = fp::remainder(value(state, 0), value(state, 1), nearest, context);
  if (!accept(state, context).result) return;
  set(state, 0, r.value);
  if (fp::unpack<Extended80>(r.value).is_nan()) return;
  const unsigned q = r.quotient;
  set_conditions(state,
                 static_cast<u16>((r.partial ? kC2 : 0) | (q & 4 ? kC0 : 0) | (q & 2 ? kC3 : 0) | (q & 1 ? kC1 : 0)));
}

// --- Two operands, result in ST(1), then pop: FPATAN, FYL2X, FYL2XP1.

template <Binary f>
void into_next(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (is_empty(state, 0) || is_empty(state, 1)) {
    if (!stack_fault(state, false)) return;
    set(state, 1, indefinite());
  } else {
    Context context = context_of(state);
    const Ext80 result = f(value(state, 1), value(state, 0), context);
    if (!accept(state, context).result) return;
    set(state, 1, result);
  }
  pop(state);
}

// --- One operand, two results: the first replaces ST(0), the second is pushed. C2 of FPTAN and FSINCOS is clear unless
// the operand is out of range.

struct Pair {
  Ext80 first;
  Ext80 pushed;
};
using Splitting = Pair (*)(const Unpacked& a, Context& context);

Pair extract_parts(const Unpacked& a, Context& c) {
  const fp::Extracted e = fp::extract(a, c);
  return {e.exponent, e.significand};
}
Pair sine_and_cosine(const Unpacked& a, Context& c) {
  const fp::SinCos s = fp::fsincos(a, c);
  return {s.sin, s.cos};
}
Pair tangent(const Unpacked& a, Context& c) {
  const Ext80 t = fp::fptan(a, c);
  // With a NaN the second result is that NaN too.
  return {t,
          a.kind == fp::Class::finite || a.kind == fp::Class::zero ? fp::constant(fp::Constant::one, c.rounding) : t};
}

template <Splitting f, bool trigonometric>
void into_two(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& state = cpu.arch.fpu;
  if (trigonometric) state.status &= static_cast<u16>(~kC2);
  const bool overflow = !is_empty(state, 0) && !is_empty(state, 7);  // underflow takes precedence
  if (is_empty(state, 0) || overflow) {
    if (!stack_fault(state, overflow)) return;
    set(state, 0, indefinite());
    push(state, indefinite());
    return;
  }
  const Unpacked a = value(state, 0);
  if (trigonometric && fp::trigonometric_out_of_range(a)) {
    state.status |= kC2;
    set_c1(state, false);
    return;
  }
  Context context = context_of(state);
  const Pair results = f(a, context);
  if (!accept(state, context).result) return;
  set(state, 0, results.first);
  push(state, results.pushed);
}

template <Unary f>
void trigonometric(Vcpu& cpu, const Op& op) {
  begin(cpu);
  FpuState& state = cpu.arch.fpu;
  state.status &= static_cast<u16>(~kC2);
  if (!is_empty(state, 0) && fp::trigonometric_out_of_range(value(state, 0))) {
    record(cpu, op);
    state.status |= kC2;
    set_c1(state, false);
    return;
  }
  in_place<f>(cpu, op);
}

}  // namespace

#define ARITHMETIC(name, lowering)                                                        \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return lowering(instruction, op);                                                     \
  }
ARITHMETIC(FADD, lower_arithmetic<&plus>)
ARITHMETIC(FADDP, lower_popping<&plus>)
ARITHMETIC(FIADD, lower_integer<&plus>)
ARITHMETIC(FSUB, lower_arithmetic<&minus>)
ARITHMETIC(FSUBP, lower_popping<&minus>)
ARITHMETIC(FISUB, lower_integer<&minus>)
ARITHMETIC(FSUBR, lower_arithmetic<&minus_reversed>)
ARITHMETIC(FSUBRP, lower_popping<&minus_reversed>)
ARITHMETIC(FISUBR, lower_integer<&minus_reversed>)
ARITHMETIC(FMUL, lower_arithmetic<&times>)
ARITHMETIC(FMULP, lower_popping<&times>)
ARITHMETIC(FIMUL, lower_integer<&times>)
ARITHMETIC(FDIV, lower_arithmetic<&over>)
ARITHMETIC(FDIVP, lower_popping<&over>)
ARITHMETIC(FIDIV, lower_integer<&over>)
ARITHMETIC(FDIVR, lower_arithmetic<&over_reversed>)
ARITHMETIC(FDIVRP, lower_popping<&over_reversed>)
ARITHMETIC(FIDIVR, lower_integer<&over_reversed>)

RONDO_X87(FABS, &change_sign<true>)
RONDO_X87(FCHS, &change_sign<false>)
RONDO_X87(FSQRT, (&in_place<&fp::sqrt<Extended80>>))
RONDO_X87(FRNDINT, &in_place<&round_to_integer>)
RONDO_X87(FSCALE, &scale_by_power)
RONDO_X87(FPREM, &partial_remainder<false>)
RONDO_X87(FPREM1, &partial_remainder<true>)
RONDO_X87(FXTRACT, (&into_two<&extract_parts, false>))
RONDO_X87(F2XM1, &in_place<&fp::f2xm1>)
RONDO_X87(FYL2X, &into_next<&fp::fyl2x>)
RONDO_X87(FYL2XP1, &into_next<&fp::fyl2xp1>)
RONDO_X87(FPATAN, &into_next<&fp::fpatan>)
RONDO_X87(FSIN, &trigonometric<&fp::fsin>)
RONDO_X87(FCOS, &trigonometric<&fp::fcos>)
RONDO_X87(FPTAN, (&into_two<&tangent, true>))
RONDO_X87(FSINCOS, (&into_two<&sine_and_cosine, true>))

}  // namespace rondo::software
