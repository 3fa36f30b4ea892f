// INC, DEC, NEG and NOT.
#include "core/software/ops/alu_unary_forms.h"

namespace rondo::software {
namespace {

// Gives `flags` the carry of `before` and keeps its overflow.
[[gnu::always_inline]] inline LazyFlags keep_carry(LazyFlags flags, LazyFlags before) {
  const u64 differ = (flags.aux ^ before.aux) >> 63;
  flags.aux ^= differ << 63 | differ << 62;
  return flags;
}

struct Inc {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op*) {
    const AluResult<T> r = alu_add<T>(a, 1);
    set_flags(cpu, keep_carry(r.flags, cpu.lazy));
    return r.value;
  }
};

struct Dec {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op*) {
    const AluResult<T> r = alu_sub<T>(a, 1);
    set_flags(cpu, keep_carry(r.flags, cpu.lazy));
    return r.value;
  }
};

struct Neg {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, const Op*) {
    return take(cpu, alu_sub<T>(0, a));
  }
};

struct Not {
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu&, T a, const Op*) {
    return static_cast<T>(~a);
  }
};

}  // namespace

template <>
Handler lower<Operation::INC>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_unary<Inc>(instruction, op);
}

template <>
Handler lower<Operation::DEC>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_unary<Dec>(instruction, op);
}

template <>
Handler lower<Operation::NEG>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_unary<Neg>(instruction, op);
}

template <>
Handler lower<Operation::NOT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_unary<Not>(instruction, op);
}

}  // namespace rondo::software
