// MOVZX, MOVSX, MOVSXD, LEA, BSWAP.
#include <type_traits>

#include "core/software/ops/likely.h"

namespace rondo::software {
namespace {

// To is signed for sign extension; From has the signedness of To.
template <class To, class From>
[[gnu::always_inline]] inline std::make_unsigned_t<To> extend(std::make_unsigned_t<From> v) {
  return static_cast<std::make_unsigned_t<To>>(static_cast<To>(static_cast<From>(v)));
}

}  // namespace

template <class To, class From, class Then>
const Op* extend_rr(Vcpu& cpu, const Op* op) {
  using Raw = std::make_unsigned_t<From>;
  cpu.set_reg<std::make_unsigned_t<To>>(op->dst, extend<To, From>(cpu.reg<Raw>(op->src)));
  return Then::go(cpu, op);
}

template const Op* extend_rr<i64, i32, AfterAddress>(Vcpu&, const Op*);
template const Op* extend_rr<i64, i32>(Vcpu&, const Op*);

namespace {

template <class To, class From>
[[gnu::noinline]] const Op* extend_rm_slow(Vcpu& cpu, const Op* op) {
  const auto v = load<std::make_unsigned_t<From>>(cpu, op);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.set_reg<std::make_unsigned_t<To>>(op->dst, extend<To, From>(v.value));
  return finish(cpu, op, v.status);
}

template <class To, class From, class Address>
const Op* extend_rm(Vcpu& cpu, const Op* op) {
  using Raw = std::make_unsigned_t<From>;
  const u64 linear = Address::linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, sizeof(Raw))) [[unlikely]]
    return extend_rm_slow<To, From>(cpu, op);
  cpu.set_reg<std::make_unsigned_t<To>>(op->dst, extend<To, From>(host_load<Raw>(host_of(entry, linear))));
  return next(cpu, op);
}

template <class To, class From>
Handler extend_handler(const Instruction& instruction, Op& op) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (form == Form::rr) return &extend_rr<To, From>;
  if (form != Form::rm) return nullptr;
  return by_address(op, &extend_rm<To, From, SimpleAddress>, &extend_rm<To, From, FlatAddress>,
                    &extend_rm_slow<To, From>);
}

}  // namespace

template <class Then>
const Op* lea_base(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u64>(op->dst, SimpleAddress::linear(cpu, op));
  return Then::go(cpu, op);
}

template <class T, class Then>
const Op* lea_flat(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->dst, static_cast<T>(flat_offset(cpu, op)));
  return Then::go(cpu, op);
}

template const Op* lea_base<AfterAddress>(Vcpu&, const Op*);
template const Op* lea_base<>(Vcpu&, const Op*);
template const Op* lea_flat<u64, AfterAddress>(Vcpu&, const Op*);
template const Op* lea_flat<u64>(Vcpu&, const Op*);

namespace {

template <class T>
const Op* lea_any(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->dst, static_cast<T>(effective_offset(cpu, op)));
  return next(cpu, op);
}

// BSWAP of a 16-bit register is undefined; Intel and AMD clear it (docs/undefined-flags.md).
template <class T>
const Op* bswap(Vcpu& cpu, const Op* op) {
  const T v = cpu.reg<T>(op->dst);
  if constexpr (sizeof(T) == 2)
    cpu.set_reg<T>(op->dst, 0);
  else if constexpr (sizeof(T) == 4)
    cpu.set_reg<T>(op->dst, __builtin_bswap32(v));
  else
    cpu.set_reg<T>(op->dst, __builtin_bswap64(v));
  return next(cpu, op);
}

}  // namespace

// A 32-bit destination is zero-extended anyway, so it shares the 64-bit form.
template <>
Handler lower<Operation::MOVZX>(const Instruction& instruction, Op& op, LowerContext&) {
  const bool narrow = instruction.operand_bytes == 2;
  switch (instruction.operands[1].size_bytes) {
    case 1:
      return narrow ? extend_handler<u16, u8>(instruction, op) : extend_handler<u64, u8>(instruction, op);
    case 2:
      return narrow ? extend_handler<u16, u16>(instruction, op) : extend_handler<u64, u16>(instruction, op);
    default:
      return nullptr;
  }
}

template <>
Handler lower<Operation::MOVSX>(const Instruction& instruction, Op& op, LowerContext&) {
  const bool from_byte = instruction.operands[1].size_bytes == 1;
  switch (instruction.operand_bytes) {
    case 2:
      return from_byte ? extend_handler<i16, i8>(instruction, op) : extend_handler<i16, i16>(instruction, op);
    case 4:
      return from_byte ? extend_handler<i32, i8>(instruction, op) : extend_handler<i32, i16>(instruction, op);
    case 8:
      return from_byte ? extend_handler<i64, i8>(instruction, op) : extend_handler<i64, i16>(instruction, op);
    default:
      return nullptr;
  }
}

// Without REX.W it is a plain MOV. With 66 the SDM has a 16-bit source; AMD's processors read 32 bits, and so does the
// CPU model.
template <>
Handler lower<Operation::MOVSXD>(const Instruction& instruction, Op& op, LowerContext&) {
  switch (instruction.operand_bytes) {
    case 2:
      return extend_handler<u16, u32>(instruction, op);
    case 4:
      return extend_handler<u32, u32>(instruction, op);
    case 8:
      return extend_handler<i64, i32>(instruction, op);
    default:
      return nullptr;
  }
}

template <>
Handler lower<Operation::LEA>(const Instruction& instruction, Op& op, LowerContext&) {
  if (!is_register(instruction.operands[0]) || !is_memory(instruction.operands[1])) return nullptr;
  op.dst = slot_of(instruction.operands[0]);
  if (op.ea != 0) return by_size(instruction.operand_bytes, nullptr, &lea_any<u16>, &lea_any<u32>, &lea_any<u64>);
  if (instruction.operand_bytes == 8 && op.index == kSlotZero) return &lea_base<>;
  return by_size(instruction.operand_bytes, nullptr, &lea_flat<u16>, &lea_flat<u32>, &lea_flat<u64>);
}

template <>
Handler lower<Operation::BSWAP>(const Instruction& instruction, Op& op, LowerContext&) {
  op.dst = slot_of(instruction.operands[0]);
  return by_size(instruction.operand_bytes, nullptr, &bswap<u16>, &bswap<u32>, &bswap<u64>);
}

}  // namespace rondo::software
