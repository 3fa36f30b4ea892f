// What the SSE floating-point handlers share: lanes, MXCSR exceptions, and operations that try the host's arithmetic
// first (core/fp/fast.h).
#pragma once

#include "core/fp/arithmetic.h"
#include "core/fp/compare.h"
#include "core/fp/fast.h"
#include "core/software/ops/simd.h"

namespace rondo::software {

using fp::Binary32;
using fp::Binary64;

template <class T>
[[gnu::always_inline]] inline T get_lane(const Xmm& v, unsigned index) {
  T value;
  std::memcpy(&value, reinterpret_cast<const u8*>(&v) + index * sizeof(T), sizeof value);
  return value;
}
template <class T>
[[gnu::always_inline]] inline void set_lane(Xmm& v, unsigned index, T value) {
  std::memcpy(reinterpret_cast<u8*>(&v) + index * sizeof(T), &value, sizeof value);
}

// Sets the MXCSR flags of a computation. False: an unmasked exception; Vcpu::fault is set and nothing else may change.
// Without CR4.OSXMMEXCPT it is #UD instead of #XM (SDM 3A 13.1.3).
bool accept_flags(Vcpu& cpu, const fp::Context& context);
// For cold bodies: throws instead.
void require_flags(Vcpu& cpu, const fp::Context& context);

// Operations on one lane. fast(): see fp/fast.h; `mxcsr` decides whether it may be used.
struct FpAdd {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::add<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32 mxcsr, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    return fp::fast_mode(mxcsr) && fp::fast_add<F>(a, b, r);
  }
};
struct FpSub {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::sub<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32 mxcsr, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    return fp::fast_mode(mxcsr) && fp::fast_sub<F>(a, b, r);
  }
};
struct FpMul {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::mul<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32 mxcsr, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    return fp::fast_mode(mxcsr) && fp::fast_mul<F>(a, b, r);
  }
};
struct FpDiv {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::div<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32 mxcsr, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    return fp::fast_mode(mxcsr) && fp::fast_div<F>(a, b, r);
  }
};
// Of the source alone.
struct FpSqrt {
  template <class F>
  static typename F::Bits soft(typename F::Bits, typename F::Bits b, fp::Context& c) {
    return fp::sqrt<F>(b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32 mxcsr, typename F::Bits, typename F::Bits b, typename F::Bits& r) {
    return fp::fast_mode(mxcsr) && fp::fast_sqrt<F>(b, r);
  }
};
struct FpMin {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::min<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    r = fp::to_host<F>(a) < fp::to_host<F>(b) ? a : b;
    return fp::fast_comparable<F>(a, b);
  }
};
struct FpMax {
  template <class F>
  static typename F::Bits soft(typename F::Bits a, typename F::Bits b, fp::Context& c) {
    return fp::max<F>(a, b, c);
  }
  template <class F>
  [[gnu::always_inline]] static bool fast(u32, typename F::Bits a, typename F::Bits b, typename F::Bits& r) {
    r = fp::to_host<F>(a) > fp::to_host<F>(b) ? a : b;
    return fp::fast_comparable<F>(a, b);
  }
};

// One lane by the fast path or else the soft one.
template <class F, class O>
typename F::Bits compute(typename F::Bits a, typename F::Bits b, u32 mxcsr, fp::Context& context) {
  typename F::Bits r;
  if (O::template fast<F>(mxcsr, a, b, r)) return r;
  return O::template soft<F>(a, b, context);
}

}  // namespace rondo::software
