// The two-operand computations of alu_forms.h (SDM 1 7.3.2, 7.3.5).
#pragma once

#include "core/software/ops/alu_forms.h"

namespace rondo::software {

struct Add {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_add(a, b));
  }
};

struct Adc {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_add(a, b, cpu.lazy.cf()));
  }
};

struct Sub {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_sub(a, b));
  }
};

struct Sbb {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_sub(a, b, cpu.lazy.cf()));
  }
};

struct And {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_logic(static_cast<T>(a & b)));
  }
};

struct Or {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_logic(static_cast<T>(a | b)));
  }
};

struct Xor {
  static constexpr bool kWrites = true;
  template <class T>
  [[gnu::always_inline]] static T apply(Vcpu& cpu, T a, T b) {
    return take(cpu, alu_logic(static_cast<T>(a ^ b)));
  }
};

struct Cmp : Sub {
  static constexpr bool kWrites = false;
};
struct Test : And {
  static constexpr bool kWrites = false;
};

}  // namespace rondo::software
