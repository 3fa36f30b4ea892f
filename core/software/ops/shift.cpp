// SHL, SHR, SAR.
#include "core/software/ops/shift_forms.h"

namespace rondo::software {
namespace {

struct Shl {
  template <class T>
  [[gnu::always_inline]] static AluResult<T> apply(T a, unsigned count, LazyFlags) {
    return alu_shl(a, count);
  }
};
struct Shr {
  template <class T>
  [[gnu::always_inline]] static AluResult<T> apply(T a, unsigned count, LazyFlags) {
    return alu_shr(a, count);
  }
};
struct Sar {
  template <class T>
  [[gnu::always_inline]] static AluResult<T> apply(T a, unsigned count, LazyFlags) {
    return alu_sar(a, count);
  }
};

}  // namespace

template <>
Handler lower<Operation::SHL>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Shl>(instruction, op);
}

template <>
Handler lower<Operation::SHR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Shr>(instruction, op);
}

template <>
Handler lower<Operation::SAR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Sar>(instruction, op);
}

}  // namespace rondo::software
