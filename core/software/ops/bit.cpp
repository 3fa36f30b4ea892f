// BT, BTS, BTR, BTC (SDM 2A). Only CF changes.
//
// With a register bit offset and a memory operand the offset is signed and selects any bit of a string around the
// operand's address.
#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

struct BitTest {
  static constexpr bool kWrites = false;
  static u64 apply(u64 value, u64) { return value; }
};
struct BitSet {
  static constexpr bool kWrites = true;
  static u64 apply(u64 value, u64 bit) { return value | bit; }
};
struct BitReset {
  static constexpr bool kWrites = true;
  static u64 apply(u64 value, u64 bit) { return value & ~bit; }
};
struct BitComplement {
  static constexpr bool kWrites = true;
  static u64 apply(u64 value, u64 bit) { return value ^ bit; }
};

template <class T>
inline constexpr unsigned kBitMask = 8 * sizeof(T) - 1;

template <class T, class F, class Source>
const Op* bit_r(Vcpu& cpu, const Op* op) {
  const unsigned at = static_cast<unsigned>(Source::template get<T>(cpu, op)) & kBitMask<T>;
  const T value = cpu.reg<T>(op->dst);
  if constexpr (F::kWrites) cpu.set_reg<T>(op->dst, static_cast<T>(F::apply(value, u64{1} << at)));
  cpu.lazy.set_cf(value >> at & 1);
  return next(cpu, op);
}

// The element of the bit string that holds the bit, as a byte distance from the operand's address.
template <class T>
u64 string_distance(T offset) {
  const i64 bits = static_cast<std::make_signed_t<T>>(offset);
  return static_cast<u64>((bits >> (sizeof(T) == 2 ? 4 : sizeof(T) == 4 ? 5 : 6)) * static_cast<i64>(sizeof(T)));
}

// Addresses that are not flat: the distance is added before truncation and segment checks.
LinearAddress displaced_linear(Vcpu& cpu, const Op* op, u64 distance, unsigned size, bool write) {
  u64 offset = effective_offset(cpu, op) + distance;
  if (op->ea & kEaAddress32) offset &= 0xffffffff;
  if (op->ea & kEaAddress16) offset &= 0xffff;
  if (op->ea & kEaSegmented) return segment_linear(cpu, segment_of(*op), offset, size, write);
  return {offset + cpu.reg<u64>(op->segment), true};
}

// Everything that is not a plain hit. A fault comes before any change.
template <class T, class F>
[[gnu::noinline]] const Op* bit_at_slow(Vcpu& cpu, const Op* op, LinearAddress address, unsigned at) {
  if (!address.ok) return leave_with_fault(cpu, op);
  const u64 linear = address.value;
  if constexpr (F::kWrites) {
    const TlbEntry& entry = cpu.tlb->at(linear);
    if (!tlb_hit(cpu, entry.write_tag, linear, sizeof(T)) &&
        probe_store(cpu, op, linear, sizeof(T), Privilege::current, uses_stack_segment(op)) == MemStatus::fault) {
      return leave_with_fault(cpu, op);
    }
  }
  const Loaded<T> v = load_linear<T>(cpu, op, linear);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  MemStatus status = v.status;
  if constexpr (F::kWrites) {
    const MemStatus stored = store_linear<T>(cpu, op, linear, static_cast<T>(F::apply(v.value, u64{1} << at)));
    if (stored == MemStatus::fault) return leave_with_fault(cpu, op);
    status = worse(status, stored);
  }
  cpu.lazy.set_cf(v.value >> at & 1);
  return finish(cpu, op, status);
}

template <class T, class F>
[[gnu::always_inline]] inline const Op* bit_at(Vcpu& cpu, const Op* op, u64 linear, unsigned at) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, F::kWrites ? entry.write_tag : entry.read_tag, linear, sizeof(T))) [[unlikely]] {
    return bit_at_slow<T, F>(cpu, op, {linear, true}, at);
  }
  void* host = host_of(entry, linear);
  const T value = host_load<T>(host);
  if constexpr (F::kWrites) host_store<T>(host, static_cast<T>(F::apply(value, u64{1} << at)));
  cpu.lazy.set_cf(value >> at & 1);
  return next(cpu, op);
}

template <class T, class F, class Address>
const Op* bit_mr(Vcpu& cpu, const Op* op) {
  const T offset = cpu.reg<T>(op->src);
  return bit_at<T, F>(cpu, op, Address::linear(cpu, op) + string_distance<T>(offset),
                      static_cast<unsigned>(offset) & kBitMask<T>);
}
template <class T, class F>
const Op* bit_mr_checked(Vcpu& cpu, const Op* op) {
  const T offset = cpu.reg<T>(op->src);
  const LinearAddress address = displaced_linear(cpu, op, string_distance<T>(offset), sizeof(T), F::kWrites);
  return bit_at_slow<T, F>(cpu, op, address, static_cast<unsigned>(offset) & kBitMask<T>);
}

template <class T, class F, class Address>
const Op* bit_mi(Vcpu& cpu, const Op* op) {
  return bit_at<T, F>(cpu, op, Address::linear(cpu, op), static_cast<unsigned>(op->imm) & kBitMask<T>);
}
template <class T, class F>
const Op* bit_mi_checked(Vcpu& cpu, const Op* op) {
  return bit_at_slow<T, F>(cpu, op, checked_linear(cpu, op, sizeof(T), F::kWrites),
                           static_cast<unsigned>(op->imm) & kBitMask<T>);
}

template <class T, class F>
Handler bit_handler(Form form, const Op& op) {
  switch (form) {
    case Form::rr:
      return &bit_r<T, F, RegisterSource>;
    case Form::ri:
      return &bit_r<T, F, ImmediateSource>;
    case Form::mr:
      return by_address(op, &bit_mr<T, F, SimpleAddress>, &bit_mr<T, F, FlatAddress>, &bit_mr_checked<T, F>);
    case Form::mi:
      return by_address(op, &bit_mi<T, F, SimpleAddress>, &bit_mi<T, F, FlatAddress>, &bit_mi_checked<T, F>);
    case Form::rm:
      return nullptr;
  }
  return nullptr;
}

template <class F>
Handler lower_bit(const Instruction& instruction, Op& op) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (!form) return nullptr;
  switch (instruction.operand_bytes) {
    case 2:
      return bit_handler<u16, F>(*form, op);
    case 4:
      return bit_handler<u32, F>(*form, op);
    case 8:
      return bit_handler<u64, F>(*form, op);
    default:
      return nullptr;
  }
}

}  // namespace

template <>
Handler lower<Operation::BT>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_bit<BitTest>(instruction, op);
}
template <>
Handler lower<Operation::BTS>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_bit<BitSet>(instruction, op);
}
template <>
Handler lower<Operation::BTR>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_bit<BitReset>(instruction, op);
}
template <>
Handler lower<Operation::BTC>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_bit<BitComplement>(instruction, op);
}

}  // namespace rondo::software
