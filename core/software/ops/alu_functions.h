// The two-operand computations of alu_forms.h (SDM 1 7.3.2, 7.3.5).
#pragma once

#include "core/software/ops/alu_forms.h"

namespace rondo::software {

struct Add {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_add(a, b);
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Adc {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_add(a, b, cpu.lazy.cf());
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Sub {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_sub(a, b);
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Sbb {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_sub(a, b, cpu.lazy.cf());
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct And {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_logic(static_cast<T>(a & b));
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Or {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_logic(static_cast<T>(a | b));
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Xor {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    const AluResult<T> r = alu_logic(static_cast<T>(a ^ b));
    set_flags(cpu, r.flags);
    return r.value;
  }
};

struct Cmp : Sub {
  static constexpr bool kWrites = false;
};
struct Test : And {
  static constexpr bool kWrites = false;
};

}  // namespace rondo::software
