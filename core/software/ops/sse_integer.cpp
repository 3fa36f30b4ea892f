// SSE4 operations that fit no table: MPSADBW, PHMINPOSUW, PTEST, CRC32, and MXCSR (SDM 1 5.10.5-5.10.12, 5.11, 5.5.4).
#include "core/software/ops/simd.h"

namespace rondo::software {
namespace {

// Eight sums of absolute differences of four bytes: from a at 4 * imm[2] + i, against b at 4 * imm[1:0].
struct MultipleSad : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V& a, const V& b, unsigned imm) {
    const auto x = split<u8>(a), y = split<u8>(b);
    const std::size_t from_a = (imm >> 2 & 1) * 4, from_b = (imm & 3) * 4;
    Lanes<u16, V> r{};
    for (std::size_t i = 0; i < 8; i++) {
      for (std::size_t j = 0; j < 4; j++) {
        const int difference = x[from_a + i + j] - y[from_b + j];
        r[i] = static_cast<u16>(r[i] + (difference < 0 ? -difference : difference));
      }
    }
    return join<V>(r);
  }
};

// The smallest word and its (first) index.
struct HorizontalMinimum : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    const auto x = split<u16>(b);
    std::size_t best = 0;
    for (std::size_t i = 1; i < x.size(); i++) best = x[i] < x[best] ? i : best;
    return V{{u64{x[best]} | u64{best} << 16, 0}};
  }
};

// ZF: no bit of the source is set where the destination has one. CF: the source is a subset of the destination.
[[gnu::always_inline]] inline void set_test_flags(Vcpu& cpu, const Xmm& a, const Xmm& b) {
  const bool zero = ((a.lane[0] & b.lane[0]) | (a.lane[1] & b.lane[1])) == 0;
  const bool subset = ((~a.lane[0] & b.lane[0]) | (~a.lane[1] & b.lane[1])) == 0;
  cpu.lazy = LazyFlags::from_rflags((zero ? flags::ZF : 0) | (subset ? flags::CF : 0));
}
const Op* test_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  set_test_flags(cpu, cpu.arch.xmm[op->dst], cpu.arch.xmm[op->src]);
  return next(cpu, op);
}
const Op* test_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const Source s = slow_source(cpu, op, 16, true);
  if (s.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  set_test_flags(cpu, cpu.arch.xmm[op->dst], from_bytes<Xmm>(s.bytes));
  return finish(cpu, op, s.status);
}

// CRC32-C, polynomial 0x11EDC6F41, bit-reflected, no inversion (SDM 2, CRC32).
constexpr std::array<u32, 256> crc_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; i++) {
    u32 value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82f63b78 : value >> 1;
    table[i] = value;
  }
  return table;
}
constexpr std::array<u32, 256> kCrcTable = crc_table();

template <class T>
[[gnu::always_inline]] inline u32 crc32c(u32 crc, T value) {
  for (std::size_t i = 0; i < sizeof(T); i++) {
    crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<u32>(u64{value} >> (8 * i))) & 0xff];
  }
  return crc;
}

// The destination's upper half is cleared, whether it is a 32- or a 64-bit register.
template <class T>
const Op* crc_from_reg(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u32>(op->dst, crc32c<T>(cpu.reg<u32>(op->dst), cpu.reg<T>(op->src)));
  return next(cpu, op);
}
template <class T>
const Op* crc_from_memory(Vcpu& cpu, const Op* op) {
  const Loaded<T> value = load<T>(cpu, op);
  if (value.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  cpu.set_reg<u32>(op->dst, crc32c<T>(cpu.reg<u32>(op->dst), value.value));
  return finish(cpu, op, value.status);
}

// MXCSR bits that exist; setting another one is #GP (SDM 1 10.2.3, 11.6.6: MXCSR_MASK).
constexpr u32 kMxcsrMask = 0xffff;

void load_mxcsr(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  const u32 value = read_operand<u32>(cpu, &op);
  if (value & ~kMxcsrMask) throw fault_gp();
  cpu.arch.mxcsr = value;
}

void store_mxcsr(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  write_operand<u32>(cpu, &op, cpu.arch.mxcsr);
}

}  // namespace

template <>
Handler lower<Operation::MPSADBW>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_xmm<MultipleSad>(instruction, op);
}
template <>
Handler lower<Operation::PHMINPOSUW>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_xmm<HorizontalMinimum>(instruction, op);
}
template <>
Handler lower<Operation::PTEST>(const Instruction& instruction, Op& op, LowerContext&) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &test_memory;
  op.src = instruction.operands[1].reg;
  return &test_reg;
}
template <>
Handler lower<Operation::CRC32>(const Instruction& instruction, Op& op, LowerContext&) {
  const Operand& from = instruction.operands[1];
  op.dst = slot_of(instruction.operands[0]);
  if (is_memory(from)) {
    return by_size(from.size_bytes, &crc_from_memory<u8>, &crc_from_memory<u16>, &crc_from_memory<u32>,
                   &crc_from_memory<u64>);
  }
  op.src = slot_of(from);
  return by_size(from.size_bytes, &crc_from_reg<u8>, &crc_from_reg<u16>, &crc_from_reg<u32>, &crc_from_reg<u64>);
}
template <>
Handler lower<Operation::LDMXCSR>(const Instruction&, Op&, LowerContext&) {
  return &cold<&load_mxcsr>;
}
template <>
Handler lower<Operation::STMXCSR>(const Instruction&, Op&, LowerContext&) {
  return &cold<&store_mxcsr>;
}

}  // namespace rondo::software
