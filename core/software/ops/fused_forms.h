// A flag-setting instruction and the conditional branch after it, executed by one handler: it reads the operands from its own Op, the branch's from the next,
// and decides from the operands instead of from the flags (which it still sets).
#pragma once

#include "core/software/ops/alu_functions.h"
#include "core/software/ops/branch_forms.h"

namespace rondo::software {

template <unsigned Condition, class F, class T>
[[gnu::always_inline]] inline bool decide(const Vcpu& cpu, T a, T b, T r) {
  using Signed = std::make_signed_t<T>;
  constexpr unsigned kPair = Condition / 2;
  constexpr bool kNegated = Condition & 1;
  constexpr bool kCompares = std::is_base_of_v<Sub, F>;
  if constexpr (kPair == 2) return (r == 0) != kNegated;
  else if constexpr (kPair == 4) return (static_cast<Signed>(r) < 0) != kNegated;
  else if constexpr (kCompares && kPair == 1) return (a < b) != kNegated;
  else if constexpr (kCompares && kPair == 3) return (a <= b) != kNegated;
  else if constexpr (kCompares && kPair == 6) return (static_cast<Signed>(a) < static_cast<Signed>(b)) != kNegated;
  else if constexpr (kCompares && kPair == 7) return (static_cast<Signed>(a) <= static_cast<Signed>(b)) != kNegated;
  else return cpu.lazy.test<Condition>();
}

// SUB and CMP return the difference; the rest their result. F::apply sets the flags.
template <class T, class F, class Source, unsigned Condition, bool SamePage>
const Op* fused_register(Vcpu& cpu, const Op* op) {
  const T a = cpu.reg<T>(op->dst), b = Source::template get<T>(cpu, op);
  const T r = F::template apply<T>(cpu, a, b);
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, r);
  return branch_if<SamePage>(cpu, op + 1, decide<Condition, F, T>(cpu, a, b, r));
}

// MemoryFirst: op [m], source; else op r, [m]. Compares only. A miss is left to the ordinary pair.
template <class T, class F, class Source, bool MemoryFirst, unsigned Condition, bool SamePage>
const Op* fused_memory(Vcpu& cpu, const Op* op) {
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) [[unlikely]] {
    if constexpr (MemoryFirst) return binary_m_slow<T, F, Source>(cpu, op);
    else return binary_rm_slow<T, F>(cpu, op);
  }
  const T m = host_load<T>(host_of(entry, linear));
  const T a = MemoryFirst ? m : cpu.reg<T>(op->dst);
  const T b = MemoryFirst ? Source::template get<T>(cpu, op) : m;
  const T r = F::template apply<T>(cpu, a, b);
  return branch_if<SamePage>(cpu, op + 1, decide<Condition, F, T>(cpu, a, b, r));
}

// The fused handler for form `form` of F, or null.
template <class F>
Handler fused_handler(Form form, unsigned bytes, unsigned condition, bool same_page);

}  // namespace rondo::software
