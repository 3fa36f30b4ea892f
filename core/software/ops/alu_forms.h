// The operand forms of two-operand integer instructions, once for all operations and widths.
//
// A computation F is a struct with
//   static constexpr bool kWrites;                    false: flags only (CMP, TEST)
//   template <class T> static T apply(Vcpu&, T a, T b);   sets the flags, returns the new destination
//
// Each memory form exists three times: for base + displacement, for any flat address, and a slow one that does
// everything. The fast ones have no stack frame: they end in a sibling call either to the next handler or to the slow
// one.
#pragma once

#include <optional>

#include "core/software/ops/handler.h"
#include "core/software/ops/lower.h"

namespace rondo::software {

struct SimpleAddress {  // base + displacement, no segment base
  [[gnu::always_inline]] static u64 linear(const Vcpu& cpu, const Op* op) {
    return cpu.reg<u64>(op->base) + static_cast<u64>(static_cast<i64>(op->disp));
  }
};
struct FlatAddress {
  [[gnu::always_inline]] static u64 linear(const Vcpu& cpu, const Op* op) { return flat_linear(cpu, op); }
};

// Where a hit lies in host memory. The caller has checked the tag.
[[gnu::always_inline]] inline void* host_of(const TlbEntry& entry, u64 linear) {
  return reinterpret_cast<void*>(linear + entry.host_delta);
}
template <class T>
[[gnu::always_inline]] inline T host_load(const void* host) {
  T value;
  std::memcpy(&value, host, sizeof value);
  return value;
}
template <class T>
[[gnu::always_inline]] inline void host_store(void* host, T value) {
  std::memcpy(host, &value, sizeof value);
}

// Two 8-byte stores: as one 16-byte copy the flags would go through the stack and stall on store forwarding.
[[gnu::always_inline]] inline void set_flags(Vcpu& cpu, LazyFlags flags) {
  cpu.lazy.result = flags.result;
  cpu.lazy.aux = flags.aux;
}

// The value of a result whose flags are to be the CPU's.
template <class T>
[[gnu::always_inline]] inline T take(Vcpu& cpu, const AluResult<T>& r) {
  set_flags(cpu, r.flags);
  return r.value;
}

// Of two accesses of one instruction: the driver must look if either says so.
[[gnu::always_inline]] inline MemStatus worse(MemStatus a, MemStatus b) { return a > b ? a : b; }

template <class T, class F, class Then = ByNext>
const Op* binary_rr(Vcpu& cpu, const Op* op) {
  const T r = F::template apply<T>(cpu, cpu.reg<T>(op->dst), cpu.reg<T>(op->src));
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, r);
  return Then::go(cpu, op);
}

template <class T, class F, class Then = ByNext>
const Op* binary_ri(Vcpu& cpu, const Op* op) {
  const T r = F::template apply<T>(cpu, cpu.reg<T>(op->dst), static_cast<T>(op->imm));
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, r);
  return Then::go(cpu, op);
}

template <class T, class F>
[[gnu::noinline]] const Op* binary_rm_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> b = load<T>(cpu, op);
  if (b.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const T r = F::template apply<T>(cpu, cpu.reg<T>(op->dst), b.value);
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, r);
  return finish(cpu, op, b.status);
}

template <class T, class F, class Address>
const Op* binary_rm(Vcpu& cpu, const Op* op) {
  const u64 linear = Address::linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) [[unlikely]]
    return binary_rm_slow<T, F>(cpu, op);
  const T r = F::template apply<T>(cpu, cpu.reg<T>(op->dst), host_load<T>(host_of(entry, linear)));
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, r);
  return next(cpu, op);
}

// The second operand of a memory form.
struct RegisterSource {
  template <class T>
  [[gnu::always_inline]] static T get(const Vcpu& cpu, const Op* op) {
    return cpu.reg<T>(op->src);
  }
};
struct ImmediateSource {
  template <class T>
  [[gnu::always_inline]] static T get(const Vcpu&, const Op* op) {
    return static_cast<T>(op->imm);
  }
};

template <class T, class F, class Source>
[[gnu::noinline]] const Op* binary_m_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> a = F::kWrites ? load_for_update<T>(cpu, op) : load<T>(cpu, op);
  if (a.status == MemStatus::fault) return leave_with_fault(cpu, op);
  const LazyFlags before = cpu.lazy;
  const T r = F::template apply<T>(cpu, a.value, Source::template get<T>(cpu, op));
  if constexpr (F::kWrites) {
    const MemStatus stored = store<T>(cpu, op, r);
    if (stored == MemStatus::fault) {
      cpu.lazy = before;
      return leave_with_fault(cpu, op);
    }
    return finish(cpu, op, worse(a.status, stored));
  }
  return finish(cpu, op, a.status);
}

template <class T, class F, class Source, class Address>
const Op* binary_m(Vcpu& cpu, const Op* op) {
  const u64 linear = Address::linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, F::kWrites ? entry.write_tag : entry.read_tag, linear, sizeof(T))) [[unlikely]] {
    return binary_m_slow<T, F, Source>(cpu, op);
  }
  void* host = host_of(entry, linear);
  const T r = F::template apply<T>(cpu, host_load<T>(host), Source::template get<T>(cpu, op));
  if constexpr (F::kWrites) host_store<T>(host, r);
  return next(cpu, op);
}

// Instructions that only read their r/m operand (IMUL, BSF, CMOVcc, ...): F::apply<T>(cpu, op, value) does the rest. It
// cannot fault.
template <class T, class F>
const Op* source_r(Vcpu& cpu, const Op* op) {
  F::template apply<T>(cpu, op, cpu.reg<T>(op->src));
  return next(cpu, op);
}

template <class T, class F>
[[gnu::noinline]] const Op* source_m_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = load<T>(cpu, op);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  F::template apply<T>(cpu, op, v.value);
  return finish(cpu, op, v.status);
}

template <class T, class F>
const Op* source_m(Vcpu& cpu, const Op* op) {
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) [[unlikely]]
    return source_m_slow<T, F>(cpu, op);
  F::template apply<T>(cpu, op, host_load<T>(host_of(entry, linear)));
  return next(cpu, op);
}

// --- Lowering.

// The operand is a register (op.src) or the memory operand. No byte form.
template <class T, class F>
Handler source_handler(bool memory, const Op& op) {
  if (!memory) return &source_r<T, F>;
  return op.ea ? &source_m_slow<T, F> : &source_m<T, F>;
}
template <class F>
Handler lower_source(unsigned bytes, const Operand& operand, Op& op) {
  const bool memory = is_memory(operand);
  if (!memory) op.src = slot_of(operand);
  switch (bytes) {
    case 2:
      return source_handler<u16, F>(memory, op);
    case 4:
      return source_handler<u32, F>(memory, op);
    case 8:
      return source_handler<u64, F>(memory, op);
    default:
      return nullptr;
  }
}

enum class AddressForm : u8 { simple, flat, checked };
inline AddressForm address_form(const Op& op) {
  if (op.ea != 0) return AddressForm::checked;
  return op.index == kSlotZero && op.segment == kSlotZero ? AddressForm::simple : AddressForm::flat;
}
inline Handler by_address(const Op& op, Handler simple, Handler flat, Handler checked) {
  switch (address_form(op)) {
    case AddressForm::simple:
      return simple;
    case AddressForm::flat:
      return flat;
    case AddressForm::checked:
      return checked;
  }
  return nullptr;
}

enum class Form : u8 { rr, ri, rm, mr, mi };
// Also fills dst and src. Instructions with a memory operand first and a register second are mr even if they only read.
inline std::optional<Form> two_operand_form(const Instruction& instruction, Op& op) {
  const Operand& a = instruction.operands[0];
  const Operand& b = instruction.operands[1];
  if (is_register(a)) {
    op.dst = slot_of(a);
    if (is_register(b)) {
      op.src = slot_of(b);
      return Form::rr;
    }
    if (is_immediate(b)) return Form::ri;
    if (is_memory(b)) return Form::rm;
  } else if (is_memory(a)) {
    if (is_register(b)) {
      op.src = slot_of(b);
      return Form::mr;
    }
    if (is_immediate(b)) return Form::mi;
  }
  return std::nullopt;
}

template <class T, class F>
Handler binary_handler(Form form, const Op& op) {
  switch (form) {
    case Form::rr:
      return &binary_rr<T, F>;
    case Form::ri:
      return &binary_ri<T, F>;
    case Form::rm:
      return by_address(op, &binary_rm<T, F, SimpleAddress>, &binary_rm<T, F, FlatAddress>, &binary_rm_slow<T, F>);
    case Form::mr:
      return by_address(op, &binary_m<T, F, RegisterSource, SimpleAddress>,
                        &binary_m<T, F, RegisterSource, FlatAddress>, &binary_m_slow<T, F, RegisterSource>);
    case Form::mi:
      return by_address(op, &binary_m<T, F, ImmediateSource, SimpleAddress>,
                        &binary_m<T, F, ImmediateSource, FlatAddress>, &binary_m_slow<T, F, ImmediateSource>);
  }
  return nullptr;
}

// XOR r, r and SUB r, r: the idiom for zero, with the flags of a zero result.
template <class Then = ByNext>
const Op* zero_register(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u64>(op->dst, 0);
  set_flags(cpu, {0, 0});
  return Then::go(cpu, op);
}
inline Handler lower_zero(const Instruction& instruction, Op& op) {
  const Operand& a = instruction.operands[0];
  const Operand& b = instruction.operands[1];
  if (!is_register(a) || !is_register(b) || a.reg != b.reg || instruction.operand_bytes < 4) return nullptr;
  op.dst = op.src = slot_of(a);
  return &zero_register<>;
}

template <class F>
Handler lower_binary(const Instruction& instruction, Op& op) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (!form) return nullptr;
  switch (instruction.operand_bytes) {
    case 1:
      return binary_handler<u8, F>(*form, op);
    case 2:
      return binary_handler<u16, F>(*form, op);
    case 4:
      return binary_handler<u32, F>(*form, op);
    case 8:
      return binary_handler<u64, F>(*form, op);
    default:
      return nullptr;
  }
}

}  // namespace rondo::software
