#include "core/software/ops/alu_quiet.h"

#include "core/software/ops/alu_unary_forms.h"

namespace rondo::software {
namespace {

// The computations of alu_functions.h and their relatives without the flags.
struct QuietAdd {
  static constexpr bool kWrites = true;
  template <class T>
  static T apply(Vcpu&, T a, T b) {
    return static_cast<T>(a + b);
  }
};
struct QuietSub {
  static constexpr bool kWrites = true;
  template <class T>
  static T apply(Vcpu&, T a, T b) {
    return static_cast<T>(a - b);
  }
};
struct QuietAnd {
  static constexpr bool kWrites = true;
  template <class T>
  static T apply(Vcpu&, T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct QuietOr {
  static constexpr bool kWrites = true;
  template <class T>
  static T apply(Vcpu&, T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct QuietXor {
  static constexpr bool kWrites = true;
  template <class T>
  static T apply(Vcpu&, T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct QuietInc {
  template <class T>
  static T apply(Vcpu&, T a, const Op*) {
    return static_cast<T>(a + 1);
  }
};
struct QuietDec {
  template <class T>
  static T apply(Vcpu&, T a, const Op*) {
    return static_cast<T>(a - 1);
  }
};
struct QuietNeg {
  template <class T>
  static T apply(Vcpu&, T a, const Op*) {
    return static_cast<T>(T{0} - a);
  }
};
// Counts are masked and not zero (shift_forms.h).
struct QuietShl {
  template <class T>
  static T apply(Vcpu&, T a, const Op* op) {
    return static_cast<T>(a << (op->imm & (8 * sizeof(T) - 1)));
  }
};
struct QuietShr {
  template <class T>
  static T apply(Vcpu&, T a, const Op* op) {
    return static_cast<T>(a >> (op->imm & (8 * sizeof(T) - 1)));
  }
};
struct QuietSar {
  template <class T>
  static T apply(Vcpu&, T a, const Op* op) {
    return static_cast<T>(static_cast<std::make_signed_t<T>>(a) >> (op->imm & (8 * sizeof(T) - 1)));
  }
};
template <bool Immediate>
struct QuietImul {
  template <class T>
  static void apply(Vcpu& cpu, const Op* op, T b) {
    cpu.set_reg<T>(op->dst, static_cast<T>((Immediate ? static_cast<T>(op->imm) : cpu.reg<T>(op->dst)) * b));
  }
};

const Op* nothing(Vcpu& cpu, const Op* op) { return next(cpu, op); }

// 32- and 64-bit forms only: the others are rare.
Handler wide(unsigned bytes, Handler h32, Handler h64) { return bytes == 8 ? h64 : bytes == 4 ? h32 : nullptr; }
template <class F>
Handler quiet_binary(const Instruction& i) {
  return is_immediate(i.operands[1]) ? wide(i.operand_bytes, &binary_ri<u32, F>, &binary_ri<u64, F>)
                                     : wide(i.operand_bytes, &binary_rr<u32, F>, &binary_rr<u64, F>);
}
template <class F>
Handler quiet_unary(const Instruction& i) {
  return wide(i.operand_bytes, &unary_r<u32, F>, &unary_r<u64, F>);
}
template <bool Immediate>
Handler quiet_imul(const Instruction& i) {
  return wide(i.operand_bytes, &source_r<u32, QuietImul<Immediate>>, &source_r<u64, QuietImul<Immediate>>);
}

enum class Effect : u8 {
  stops,      // reads flags, or may fault or leave the block
  passes,     // neither; may change some flags
  overwrites  // neither, and sets all six flags
};

struct Role {
  Effect effect = Effect::stops;
  Handler quiet = nullptr;  // what may replace it if its flags are dead
};

Role role_of(const Instruction& i, const Op& op) {
  switch (i.operation) {  // no access, whatever the operands
    case Operation::LEA:
    case Operation::NOP:
    case Operation::CBW:
    case Operation::CWD:
      return {Effect::passes};
    default:
      break;
  }
  for (unsigned n = 0; n < i.operand_count; ++n) {
    if (!is_register(i.operands[n]) && !is_immediate(i.operands[n])) return {};
  }
  const bool by_immediate = is_immediate(i.operands[1]);
  switch (i.operation) {
    case Operation::MOV:
    case Operation::MOVZX:
    case Operation::MOVSX:
    case Operation::MOVSXD:
    case Operation::XCHG:
    case Operation::BSWAP:
    case Operation::NOT:
    case Operation::ROL:
    case Operation::ROR:
      return {Effect::passes};
    case Operation::ADD:
      return {Effect::overwrites, quiet_binary<QuietAdd>(i)};
    case Operation::SUB:
      return {Effect::overwrites, quiet_binary<QuietSub>(i)};
    case Operation::AND:
      return {Effect::overwrites, quiet_binary<QuietAnd>(i)};
    case Operation::OR:
      return {Effect::overwrites, quiet_binary<QuietOr>(i)};
    case Operation::XOR:
      return {Effect::overwrites, quiet_binary<QuietXor>(i)};
    case Operation::CMP:
    case Operation::TEST:
      return {Effect::overwrites, &nothing};
    case Operation::NEG:
      return {Effect::overwrites, quiet_unary<QuietNeg>(i)};
    case Operation::INC:
      return {Effect::passes, quiet_unary<QuietInc>(i)};
    case Operation::DEC:
      return {Effect::passes, quiet_unary<QuietDec>(i)};
    case Operation::SHL:
      if (!by_immediate || op.imm == 0) return {Effect::passes};
      return {Effect::overwrites, quiet_unary<QuietShl>(i)};
    case Operation::SHR:
      if (!by_immediate || op.imm == 0) return {Effect::passes};
      return {Effect::overwrites, quiet_unary<QuietShr>(i)};
    case Operation::SAR:
      if (!by_immediate || op.imm == 0) return {Effect::passes};
      return {Effect::overwrites, quiet_unary<QuietSar>(i)};
    case Operation::IMUL:
      if (i.operand_count == 2) return {Effect::passes, quiet_imul<false>(i)};
      if (i.operand_count == 3) return {Effect::passes, quiet_imul<true>(i)};
      return {Effect::passes};
    default:
      return {};
  }
}

}  // namespace

void DeadFlags::lowered(const Instruction& instruction, std::vector<Op>& ops) {
  const Role role = role_of(instruction, ops.back());
  if (role.effect == Effect::overwrites) {
    for (unsigned i = 0; i < count_; ++i) ops[pending_[i].index].handler = pending_[i].quiet;
  }
  if (role.effect != Effect::passes) count_ = 0;
  if (role.quiet && count_ < pending_.size()) pending_[count_++] = {ops.size() - 1, role.quiet};
}

}  // namespace rondo::software
