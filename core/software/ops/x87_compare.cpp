// x87 comparisons and classification (SDM 1 5.2.3). The condition codes and flags are set even if an unmasked exception
// is raised; the stack is then not popped (found on the silicon).
#include "core/fp/compare.h"
#include "core/fp/x87.h"
#include "core/software/ops/x87.h"

namespace rondo::software {
namespace {

using namespace x87;
using fp::NanCompare;
using fp::Ordering;
using fp::Unpacked;

u16 condition_codes(Ordering ordering) {
  switch (ordering) {
    case Ordering::greater:
      return 0;
    case Ordering::less:
      return kC0;
    case Ordering::equal:
      return kC3;
    case Ordering::unordered:
      break;
  }
  return kC0 | kC2 | kC3;
}

// Compares ST(0) with `b`; `empty`: one of them is empty. False: an unmasked exception keeps the stack as it is.
template <NanCompare nans>
bool compare_top(FpuState& f, bool empty, const Unpacked& b, Ordering& ordering) {
  ordering = Ordering::unordered;
  if (empty) return stack_fault(f, false);
  fp::Context context = context_of(f);
  ordering = fp::compare(value(f, 0), b, nans, context);
  f.status |= context.flags;
  update_summary(f);
  return (context.unmasked() & fp::kPreComputation) == 0;
}

template <NanCompare nans, unsigned pops>
void set_codes(FpuState& f, bool empty, const Unpacked& b) {
  Ordering ordering;
  const bool go_on = compare_top<nans>(f, empty, b, ordering);
  set_conditions(f, condition_codes(ordering));
  if (!go_on) return;
  for (unsigned i = 0; i < pops; i++) pop(f);
}

template <NanCompare nans, unsigned pops>
void compare_register(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  set_codes<nans, pops>(f, is_empty(f, 0) || is_empty(f, op.src), value(f, op.src));
}

template <class M, unsigned pops>
void compare_memory(Vcpu& cpu, const Op& op) {
  begin(cpu);
  const Unpacked b = read_memory<M>(cpu, op);
  record_memory(cpu, op);
  FpuState& f = cpu.arch.fpu;
  set_codes<NanCompare::signaling, pops>(f, is_empty(f, 0), b);
}

void test_against_zero(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  set_codes<NanCompare::signaling, 0>(f, is_empty(f, 0), Unpacked{});
}

// FCOMI and relatives: ZF, PF, CF; OF, SF, AF are cleared.
template <NanCompare nans, unsigned pops>
void compare_to_flags(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  Ordering ordering;
  const bool go_on = compare_top<nans>(f, is_empty(f, 0) || is_empty(f, op.src), value(f, op.src), ordering);
  u64 bits = 0;
  switch (ordering) {
    case Ordering::greater:
      break;
    case Ordering::less:
      bits = flags::CF;
      break;
    case Ordering::equal:
      bits = flags::ZF;
      break;
    case Ordering::unordered:
      bits = flags::ZF | flags::PF | flags::CF;
      break;
  }
  cpu.lazy = LazyFlags::from_rflags(bits);
  if (go_on && pops == 1) pop(f);
}

// FXAM: the class in C3, C2, C0 and the sign in C1, of an empty register too.
void examine_top(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  const Ext80 v = get(f, 0);
  const unsigned kind = is_empty(f, 0) ? 0b101 : fp::examine(v);
  set_conditions(
      f, static_cast<u16>((kind & 4 ? kC3 : 0) | (kind & 2 ? kC2 : 0) | (kind & 1 ? kC0 : 0) | (v.sign() ? kC1 : 0)));
}

template <unsigned pops>
Handler lower_compare(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  const Operand& last = instruction.operands[instruction.operand_count - 1];
  if (is_memory(last)) {
    return last.size_bytes == 4 ? &cold<&compare_memory<Binary32, pops>> : &cold<&compare_memory<Binary64, pops>>;
  }
  op.src = last.reg;
  return &cold<&compare_register<NanCompare::signaling, pops>>;
}

template <unsigned pops>
Handler lower_integer_compare(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  const Operand& last = instruction.operands[instruction.operand_count - 1];
  return last.size_bytes == 2 ? &cold<&compare_memory<i16, pops>> : &cold<&compare_memory<i32, pops>>;
}

template <ColdBody body>
Handler lower_register_compare(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  op.src = instruction.operands[instruction.operand_count - 1].reg;
  return &cold<body>;
}
// FCOMPP, FUCOMPP: with ST(1).
template <ColdBody body>
Handler lower_with_next(const Instruction& instruction, Op& op) {
  set_opcode(instruction, op);
  op.src = 1;
  return &cold<body>;
}

}  // namespace

#define COMPARE(name, ...)                                                                \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
COMPARE(FCOM, lower_compare<0>)
COMPARE(FCOMP, lower_compare<1>)
COMPARE(FICOM, lower_integer_compare<0>)
COMPARE(FICOMP, lower_integer_compare<1>)
COMPARE(FCOMPP, lower_with_next<&compare_register<NanCompare::signaling, 2>>)
COMPARE(FUCOM, lower_register_compare<&compare_register<NanCompare::quiet, 0>>)
COMPARE(FUCOMP, lower_register_compare<&compare_register<NanCompare::quiet, 1>>)
COMPARE(FUCOMPP, lower_with_next<&compare_register<NanCompare::quiet, 2>>)
COMPARE(FCOMI, lower_register_compare<&compare_to_flags<NanCompare::signaling, 0>>)
COMPARE(FCOMIP, lower_register_compare<&compare_to_flags<NanCompare::signaling, 1>>)
COMPARE(FUCOMI, lower_register_compare<&compare_to_flags<NanCompare::quiet, 0>>)
COMPARE(FUCOMIP, lower_register_compare<&compare_to_flags<NanCompare::quiet, 1>>)
RONDO_X87(FTST, &test_against_zero)
RONDO_X87(FXAM, &examine_top)

}  // namespace rondo::software
