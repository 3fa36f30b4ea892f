// ROL, ROR, RCL, RCR.
#include "core/software/ops/shift_forms.h"

namespace rondo::software {
namespace {

struct Rol {
  template <class T>
  static AluResult<T> apply(T a, unsigned count, LazyFlags before) {
    return alu_rol(a, count, before);
  }
};
struct Ror {
  template <class T>
  static AluResult<T> apply(T a, unsigned count, LazyFlags before) {
    return alu_ror(a, count, before);
  }
};
struct Rcl {
  template <class T>
  static AluResult<T> apply(T a, unsigned count, LazyFlags before) {
    return alu_rcl(a, count, before);
  }
};
struct Rcr {
  template <class T>
  static AluResult<T> apply(T a, unsigned count, LazyFlags before) {
    return alu_rcr(a, count, before);
  }
};

}  // namespace

template <>
Handler lower<Operation::ROL>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Rol>(instruction, op);
}

template <>
Handler lower<Operation::ROR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Ror>(instruction, op);
}

template <>
Handler lower<Operation::RCL>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Rcl>(instruction, op);
}

template <>
Handler lower<Operation::RCR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_shift<Rcr>(instruction, op);
}

}  // namespace rondo::software
