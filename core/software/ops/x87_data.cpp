// x87 loads, stores, exchanges and constants (SDM 1 5.2.1, 5.2.5).
#include <algorithm>
#include <limits>

#include "core/fp/x87.h"
#include "core/software/ops/x87.h"

namespace rondo::software {
namespace {

using namespace x87;

// The register below the top must be empty. False: nothing is to be pushed; else overflow (masked) pushes the
// indefinite.
bool push_checked(FpuState& f, Ext80 v) {
  if (!is_empty(f, 7)) {
    if (!stack_fault(f, true)) return false;
    push(f, indefinite());
    return true;
  }
  set_c1(f, false);
  push(f, v);
  return true;
}

template <class M>
void load_memory(Vcpu& cpu, const Op& op) {
  begin(cpu);
  const fp::Unpacked operand = read_memory<M>(cpu, op);
  record_memory(cpu, op);
  FpuState& f = cpu.arch.fpu;
  if (!is_empty(f, 7)) {
    push_checked(f, indefinite());
    return;
  }
  fp::Context context = context_of(f);
  const Ext80 v = fp::convert<Extended80>(operand, context);
  accept(f, context);
  // An unmasked #D does not keep a load from being done, unlike #IA (found on the silicon).
  if ((context.unmasked() & fp::kInvalid) == 0) push(f, v);
}

// Operands of 10 bytes are accessed as 8 and 2: that decides which fault is reported.
void read_ten_bytes(Vcpu& cpu, const Op& op, u8* bytes) {
  const u64 linear = operand_linear(cpu, &op, cpu.code64() ? 8 : 10, false);
  read_bytes(cpu, &op, linear, bytes, 8, Privilege::current, uses_stack_segment(&op));
  read_bytes(cpu, &op, linear + 8, bytes + 8, 2, Privilege::current, uses_stack_segment(&op));
}

void load_extended(Vcpu& cpu, const Op& op) {
  begin(cpu);
  u8 bytes[10];
  read_ten_bytes(cpu, op, bytes);
  record_memory(cpu, op);
  Ext80 v;
  std::memcpy(&v.significand, bytes, 8);
  std::memcpy(&v.sign_exponent, bytes + 8, 2);
  push_checked(cpu.arch.fpu, v);
}

void load_bcd(Vcpu& cpu, const Op& op) {
  begin(cpu);
  u8 bytes[10];
  read_ten_bytes(cpu, op, bytes);
  record_memory(cpu, op);
  fp::PackedBcd bcd;
  std::memcpy(&bcd.low, bytes, 8);
  std::memcpy(&bcd.high, bytes + 8, 2);
  push_checked(cpu.arch.fpu, fp::from_bcd(bcd));
}

void load_register(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  if (is_empty(f, op.src)) {  // takes precedence over overflow
    if (stack_fault(f, false)) push(f, indefinite());
    return;
  }
  push_checked(f, get(f, op.src));
}

// Stores. `encode(operand, context)` gives the bytes; the empty register gives `empty`. Nothing but flags changes if
// the store faults, or if an unmasked exception forbids it.
template <class T, class Encode>
void store_value(Vcpu& cpu, const Op& op, unsigned size, bool popping, const T& empty, Encode encode) {
  begin(cpu);
  const bool stack = uses_stack_segment(&op);
  const unsigned first = std::min(size, 8u);  // 10 bytes: 8 and 2
  const u64 linear = operand_linear(cpu, &op, cpu.code64() ? first : size, true);
  require_writable(cpu, &op, linear, first, Privilege::current, stack);
  if (size > first) require_writable(cpu, &op, linear + first, size - first, Privilege::current, stack);
  record_memory(cpu, op);
  FpuState& f = cpu.arch.fpu;
  T bytes = empty;
  if (is_empty(f, 0)) {
    if (!stack_fault(f, false)) return;
  } else {
    fp::Context context = context_of(f);
    bytes = encode(fp::without_denormal(value(f, 0)), context);
    // Nothing is rounded if the store does not take place for an unmasked #O or #U.
    if (context.unmasked() & (fp::kOverflow | fp::kUnderflow)) context.flags &= static_cast<u8>(~fp::kInexact);
    if (!accept(f, context).store) return;
  }
  u8 out[sizeof(T)];
  std::memcpy(out, &bytes, sizeof out);
  write_bytes(cpu, &op, linear, out, first, Privilege::current, stack);
  if (size > first) write_bytes(cpu, &op, linear + first, out + first, size - first, Privilege::current, stack);
  if (popping) pop(f);
}

template <class F, bool popping>
void store_format(Vcpu& cpu, const Op& op) {
  store_value(cpu, op, sizeof(typename F::Bits), popping, fp::default_nan<F>(),
              [](const fp::Unpacked& v, fp::Context& context) { return fp::convert<F>(v, context); });
}

template <class Int, bool popping, bool truncate>
void store_integer(Vcpu& cpu, const Op& op) {
  store_value(cpu, op, sizeof(Int), popping, std::numeric_limits<Int>::min(),
              [](const fp::Unpacked& v, fp::Context& context) {
                const Int result = fp::to_integer<Int>(v, truncate ? fp::Rounding::zero : context.rounding, context);
                return result;
              });
}

struct TenBytes {
  u8 bytes[10];
};
TenBytes ten_bytes(u64 low, u16 high) {
  TenBytes t;
  std::memcpy(t.bytes, &low, 8);
  std::memcpy(t.bytes + 8, &high, 2);
  return t;
}

void store_extended(Vcpu& cpu, const Op& op) {
  const Ext80 nan = indefinite();
  // The value as it is: no flag is raised, whatever it holds.
  store_value(cpu, op, 10, true, ten_bytes(nan.significand, nan.sign_exponent),
              [&cpu](const fp::Unpacked&, fp::Context&) {
                const Ext80 v = get(cpu.arch.fpu, 0);
                return ten_bytes(v.significand, v.sign_exponent);
              });
}

void store_bcd(Vcpu& cpu, const Op& op) {
  store_value(cpu, op, 10, true, ten_bytes(0xC000'0000'0000'0000, 0xffff),
              [](const fp::Unpacked& v, fp::Context& context) {
                const fp::PackedBcd bcd = fp::to_bcd(v, context);
                return ten_bytes(bcd.low, bcd.high);
              });
}

// D9 D8+i, an alias of FSTP ST(i) (SDM leaves it blank): an empty ST(0) raises nothing and is just popped.
constexpr u64 kStorePopQuietly = 0x1d8;

template <bool popping>
void store_register(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  if (!is_empty(f, 0)) {
    set_c1(f, false);
    set(f, op.dst, get(f, 0));
  } else if ((op.imm & 0x7f8) == kStorePopQuietly) {
    set_c1(f, false);
  } else {
    if (!stack_fault(f, false)) return;
    set(f, op.dst, indefinite());
  }
  if (popping) pop(f);
}

void exchange(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  if (is_empty(f, 0) || is_empty(f, op.dst)) {
    if (!stack_fault(f, false)) return;
  } else {
    set_c1(f, false);
  }
  const Ext80 a = is_empty(f, 0) ? indefinite() : get(f, 0);
  const Ext80 b = is_empty(f, op.dst) ? indefinite() : get(f, op.dst);
  set(f, 0, b);
  set(f, op.dst, a);
}

// Both registers are checked whether or not the condition holds.
template <unsigned condition>
void conditional_move(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  if (is_empty(f, 0) || is_empty(f, op.src)) {
    if (stack_fault(f, false)) set(f, 0, indefinite());
  } else if (cpu.lazy.test<condition>()) {
    set(f, 0, get(f, op.src));
  }
}

template <fp::Constant which>
void load_constant(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  push_checked(f, fp::constant(which, context_of(f).rounding));
}

Handler by_format(unsigned bytes, Handler h4, Handler h8, Handler h10) {
  return bytes == 4 ? h4 : bytes == 8 ? h8 : bytes == 10 ? h10 : nullptr;
}

}  // namespace

template <>
Handler lower<Operation::FLD>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  // The last operand: some forms name ST(0) first.
  const Operand& from = instruction.operands[instruction.operand_count - 1];
  if (is_memory(from)) {
    return by_format(from.size_bytes, &cold<&load_memory<Binary32>>, &cold<&load_memory<Binary64>>,
                     &cold<&load_extended>);
  }
  op.src = from.reg;
  return &cold<&load_register>;
}

template <>
Handler lower<Operation::FST>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  const Operand& to = instruction.operands[0];
  if (is_memory(to)) {
    return by_format(to.size_bytes, &cold<&store_format<Binary32, false>>, &cold<&store_format<Binary64, false>>,
                     nullptr);
  }
  op.dst = to.reg;
  return &cold<&store_register<false>>;
}

template <>
Handler lower<Operation::FSTP>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  const Operand& to = instruction.operands[0];
  if (is_memory(to)) {
    return by_format(to.size_bytes, &cold<&store_format<Binary32, true>>, &cold<&store_format<Binary64, true>>,
                     &cold<&store_extended>);
  }
  op.dst = to.reg;
  return &cold<&store_register<true>>;
}

template <>
Handler lower<Operation::FILD>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  return by_size(instruction.operands[0].size_bytes, nullptr, &cold<&load_memory<i16>>, &cold<&load_memory<i32>>,
                 &cold<&load_memory<i64>>);
}
template <>
Handler lower<Operation::FIST>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  return by_size(instruction.operands[0].size_bytes, nullptr, &cold<&store_integer<i16, false, false>>,
                 &cold<&store_integer<i32, false, false>>, nullptr);
}
template <>
Handler lower<Operation::FISTP>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  return by_size(instruction.operands[0].size_bytes, nullptr, &cold<&store_integer<i16, true, false>>,
                 &cold<&store_integer<i32, true, false>>, &cold<&store_integer<i64, true, false>>);
}
template <>
Handler lower<Operation::FISTTP>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  return by_size(instruction.operands[0].size_bytes, nullptr, &cold<&store_integer<i16, true, true>>,
                 &cold<&store_integer<i32, true, true>>, &cold<&store_integer<i64, true, true>>);
}
RONDO_X87(FBLD, &load_bcd)
RONDO_X87(FBSTP, &store_bcd)

template <>
Handler lower<Operation::FXCH>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  op.dst = instruction.operands[instruction.operand_count - 1].reg;
  return &cold<&exchange>;
}

// Conditions as in Jcc: 2 B, 4 E, 6 BE, 10 P; the low bit negates.
#define CONDITIONAL_MOVE(name, condition)                                                 \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    set_opcode(instruction, op);                                                          \
    op.src = instruction.operands[1].reg;                                                 \
    return &cold<&conditional_move<condition>>;                                           \
  }
CONDITIONAL_MOVE(FCMOVB, 2)
CONDITIONAL_MOVE(FCMOVNB, 3)
CONDITIONAL_MOVE(FCMOVE, 4)
CONDITIONAL_MOVE(FCMOVNE, 5)
CONDITIONAL_MOVE(FCMOVBE, 6)
CONDITIONAL_MOVE(FCMOVNBE, 7)
CONDITIONAL_MOVE(FCMOVU, 10)
CONDITIONAL_MOVE(FCMOVNU, 11)

RONDO_X87(FLD1, &load_constant<fp::Constant::one>)
RONDO_X87(FLDZ, &load_constant<fp::Constant::zero>)
RONDO_X87(FLDPI, &load_constant<fp::Constant::pi>)
RONDO_X87(FLDL2E, &load_constant<fp::Constant::log2_e>)
RONDO_X87(FLDLN2, &load_constant<fp::Constant::ln_2>)
RONDO_X87(FLDL2T, &load_constant<fp::Constant::log2_10>)
RONDO_X87(FLDLG2, &load_constant<fp::Constant::log10_2>)

}  // namespace rondo::software
