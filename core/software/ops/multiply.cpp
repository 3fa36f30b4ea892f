// MUL, IMUL, DIV, IDIV. What they leave open: docs/undefined-flags.md.
#include "core/software/ops/multiply_math.h"

#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

// The double-width accumulator: AX, DX:AX, EDX:EAX or RDX:RAX.
template <class T>
inline constexpr SlotOffset kHigh = sizeof(T) == 1 ? gpr_slot(RAX) + 1 : gpr_slot(RDX);

struct RegisterOperand {
  template <class T>
  [[gnu::always_inline]] static Loaded<T> get(Vcpu& cpu, const Op* op) {
    return {cpu.reg<T>(op->src), MemStatus::ok};
  }
};
struct MemoryOperand {
  template <class T>
  [[gnu::always_inline]] static Loaded<T> get(Vcpu& cpu, const Op* op) {
    return load<T>(cpu, op);
  }
};

struct Unsigned {
  template <class T>
  static Product<T> multiply(T a, T b) {
    return alu_mul(a, b);
  }
  template <class T>
  static Quotient<T> divide(T high, T low, T divisor) {
    return alu_div(high, low, divisor);
  }
};
struct Signed {
  template <class T>
  static Product<T> multiply(T a, T b) {
    return alu_imul(a, b);
  }
  template <class T>
  static Quotient<T> divide(T high, T low, T divisor) {
    return alu_idiv(high, low, divisor);
  }
};

// accumulator * operand, double width.
template <class Sign>
struct Multiply {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op*, T b) {
    const Product<T> p = Sign::template multiply<T>(cpu.reg<T>(gpr_slot(RAX)), b);
    cpu.set_reg<T>(gpr_slot(RAX), p.low);
    cpu.set_reg<T>(kHigh<T>, p.high);
    cpu.lazy.set_cf_of(p.overflow, p.overflow);
  }
};

[[gnu::noinline, gnu::cold]] const Op* divide_error(Vcpu& cpu, const Op* op) {
  cpu.fault = fault_de();
  return leave_with_fault(cpu, op);
}

template <class T, class Sign, class Source>
const Op* divide(Vcpu& cpu, const Op* op) {
  const Loaded<T> b = Source::template get<T>(cpu, op);
  if (b.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const Quotient<T> q = Sign::template divide<T>(cpu.reg<T>(kHigh<T>), cpu.reg<T>(gpr_slot(RAX)), b.value);
  if (!q.ok) [[unlikely]]
    return divide_error(cpu, op);
  cpu.set_reg<T>(gpr_slot(RAX), q.quotient);
  cpu.set_reg<T>(kHigh<T>, q.remainder);
  cpu.lazy.set_after_division();
  return finish(cpu, op, b.status);
}

// dst = dst * operand, and dst = operand * immediate.
template <bool Immediate>
struct Imul {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op* op, T b) {
    const T a = Immediate ? static_cast<T>(op->imm) : cpu.reg<T>(op->dst);
    const Product<T> p = alu_imul(a, b);
    cpu.set_reg<T>(op->dst, p.low);
    cpu.lazy.set_cf_of(p.overflow, p.overflow);
  }
};

template <class Sign, class Source>
Handler divide_of(unsigned bytes) {
  return by_size(bytes, &divide<u8, Sign, Source>, &divide<u16, Sign, Source>, &divide<u32, Sign, Source>,
                 &divide<u64, Sign, Source>);
}
// True if the operand is in memory; else op.src names it.
bool memory_source(const Operand& operand, Op& op) {
  if (is_memory(operand)) return true;
  op.src = slot_of(operand);
  return false;
}

template <class Sign>
Handler lower_multiply(const Instruction& instruction, Op& op) {
  const Operand& operand = instruction.operands[0];
  if (instruction.operand_bytes != 1) return lower_source<Multiply<Sign>>(instruction.operand_bytes, operand, op);
  return source_handler<u8, Multiply<Sign>>(memory_source(operand, op), op);
}

template <class Sign>
Handler lower_divide(const Instruction& instruction, Op& op) {
  const unsigned bytes = instruction.operand_bytes;
  return memory_source(instruction.operands[0], op) ? divide_of<Sign, MemoryOperand>(bytes)
                                                    : divide_of<Sign, RegisterOperand>(bytes);
}

}  // namespace

template <>
Handler lower<Operation::MUL>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_multiply<Unsigned>(instruction, op);
}

template <>
Handler lower<Operation::IMUL>(const Instruction& instruction, Op& op, LowerContext&) {
  if (instruction.operand_count == 1) return lower_multiply<Signed>(instruction, op);
  op.dst = slot_of(instruction.operands[0]);
  const Operand& source = instruction.operands[1];
  return instruction.operand_count == 2 ? lower_source<Imul<false>>(instruction.operand_bytes, source, op)
                                        : lower_source<Imul<true>>(instruction.operand_bytes, source, op);
}

template <>
Handler lower<Operation::DIV>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_divide<Unsigned>(instruction, op);
}

template <>
Handler lower<Operation::IDIV>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_divide<Signed>(instruction, op);
}

}  // namespace rondo::software
