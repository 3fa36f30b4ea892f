// Moves between MMX, XMM and general registers and memory; single lanes; EMMS; masked stores
// (SDM 1 5.4.1, 5.4.7, 5.5.2-5.5.3, 5.6.3-5.6.4, 5.10.8).
#include "core/software/ops/simd.h"

namespace rondo::software {
namespace {

template <unsigned size>
struct Load : PartialSource<size> {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    return b;
  }
};
struct LowQuad : Packed {
  template <class V>
  [[gnu::always_inline]] static V apply(const V&, const V& b) {
    if constexpr (sizeof(V) == 8) {
      return b;
    } else {
      return V{{b.lane[0], 0}};
    }
  }
};

// Vector <- general register, general register <- vector. T is u32 (MOVD) or u64 (MOVQ).
template <class T>
const Op* xmm_from_gpr(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  cpu.arch.xmm[op->dst] = Xmm{{cpu.reg<T>(op->src), 0}};
  return next(cpu, op);
}
template <class T>
const Op* gpr_from_xmm(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  cpu.set_reg<T>(op->dst, static_cast<T>(cpu.arch.xmm[op->src].lane[0]));
  return next(cpu, op);
}
template <class T>
const Op* mmx_from_gpr(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  write_mmx(cpu, op->dst, cpu.reg<T>(op->src));
  return next(cpu, op);
}
template <class T>
const Op* gpr_from_mmx(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  cpu.set_reg<T>(op->dst, static_cast<T>(cpu.arch.fpu.significand[op->src]));
  return next(cpu, op);
}

template <unsigned size>
[[gnu::noinline]] const Op* store_low_xmm_slow(Vcpu& cpu, const Op* op) {
  return finish(cpu, op, slow_store_bytes(cpu, op, size, false, &cpu.arch.xmm[op->src]));
}
template <unsigned size>
const Op* store_low_xmm(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  u8* to = direct_store<size, false>(cpu, op);
  if (!to) [[unlikely]]
    return store_low_xmm_slow<size>(cpu, op);
  std::memcpy(to, &cpu.arch.xmm[op->src], size);
  return next(cpu, op);
}
template <unsigned size>
const Op* store_mmx(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  const MemStatus status = slow_store_bytes(cpu, op, size, false, &cpu.arch.fpu.significand[op->src]);
  if (status != MemStatus::fault) enter_mmx(cpu);
  return finish(cpu, op, status);
}

template <class T>
Handler lower_move(const Instruction& instruction, Op& op) {
  const Operand& to = instruction.operands[0];
  const Operand& from = instruction.operands[1];
  op.dst = is_register(to) ? slot_of(to) : to.reg;
  op.src = is_register(from) ? slot_of(from) : from.reg;
  const bool mmx = to.kind == OperandKind::mmx || from.kind == OperandKind::mmx;
  if (is_memory(to)) return mmx ? &store_mmx<sizeof(T)> : &store_low_xmm<sizeof(T)>;
  if (is_memory(from)) return mmx ? &mmx_from_memory<Load<sizeof(T)>> : &xmm_from_memory<Load<sizeof(T)>>;
  if (is_register(to)) return mmx ? &gpr_from_mmx<T> : &gpr_from_xmm<T>;
  if (is_register(from)) return mmx ? &mmx_from_gpr<T> : &xmm_from_gpr<T>;
  return mmx ? &mmx_from_reg<LowQuad> : &xmm_from_reg<LowQuad>;
}

// MOVQ2DQ, MOVDQ2Q: both are MMX instructions for availability, with the SSE checks on top.
const Op* move_mmx_to_xmm(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  cpu.arch.xmm[op->dst] = Xmm{{cpu.arch.fpu.significand[op->src], 0}};
  return next(cpu, op);
}
const Op* move_xmm_to_mmx(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  write_mmx(cpu, op->dst, cpu.arch.xmm[op->src].lane[0]);
  return next(cpu, op);
}

// PEXTRx: lane imm of the source, zero-extended in a register.
template <class T>
const Op* extract_to_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto x = split<T>(cpu.arch.xmm[op->src]);
  cpu.set_reg<u64>(op->dst, x[op->imm & (x.size() - 1)]);
  return next(cpu, op);
}
template <class T>
const Op* extract_to_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const auto x = split<T>(cpu.arch.xmm[op->src]);
  return finish(cpu, op, store<T>(cpu, op, x[op->imm & (x.size() - 1)]));
}
const Op* extract_word_mmx(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  const auto x = split<u16>(cpu.arch.fpu.significand[op->src]);
  cpu.set_reg<u64>(op->dst, x[op->imm & 3]);
  return next(cpu, op);
}

template <class T>
Handler lower_extract(const Instruction& instruction, Op& op) {
  op.src = instruction.operands[1].reg;
  if (is_memory(instruction.operands[0])) return &extract_to_memory<T>;
  op.dst = slot_of(instruction.operands[0]);
  return instruction.operands[1].kind == OperandKind::mmx ? &extract_word_mmx : &extract_to_reg<T>;
}

// PINSRx
template <class T, class V>
[[gnu::always_inline]] inline V with_lane(const V& v, u64 index, T value) {
  auto x = split<T>(v);
  x[index & (x.size() - 1)] = value;
  return join<V>(x);
}
template <class T>
const Op* insert_from_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  cpu.arch.xmm[op->dst] = with_lane<T>(cpu.arch.xmm[op->dst], op->imm, cpu.reg<T>(op->src));
  return next(cpu, op);
}
template <class T>
const Op* insert_from_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const Loaded<T> value = load<T>(cpu, op);
  if (value.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  cpu.arch.xmm[op->dst] = with_lane<T>(cpu.arch.xmm[op->dst], op->imm, value.value);
  return finish(cpu, op, value.status);
}
const Op* insert_word_mmx_from_reg(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  write_mmx(cpu, op->dst, with_lane<u16>(cpu.arch.fpu.significand[op->dst], op->imm, cpu.reg<u16>(op->src)));
  return next(cpu, op);
}
const Op* insert_word_mmx_from_memory(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  const Loaded<u16> value = load<u16>(cpu, op);
  if (value.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  enter_mmx(cpu);
  write_mmx(cpu, op->dst, with_lane<u16>(cpu.arch.fpu.significand[op->dst], op->imm, value.value));
  return finish(cpu, op, value.status);
}

template <class T>
Handler lower_insert(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  const bool memory = is_memory(instruction.operands[1]);
  if (!memory) op.src = slot_of(instruction.operands[1]);
  if (instruction.operands[0].kind == OperandKind::mmx) {
    return memory ? &insert_word_mmx_from_memory : &insert_word_mmx_from_reg;
  }
  return memory ? &insert_from_memory<T> : &insert_from_reg<T>;
}

const Op* empty_mmx(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  cpu.arch.fpu.valid = 0;
  return next(cpu, op);
}

// MASKMOVQ, MASKMOVDQU: the bytes whose mask has its top bit set go to [segment:rDI]. All of the operand must be
// writable, in units of 8 bytes, whatever the mask (SDM leaves that open; found on the silicon). Op::aux: segment in
// bits 2:0, address size in bits 7:4.
void store_masked(Vcpu& cpu, const Op& op, const u8* bytes, const u8* mask, unsigned size) {
  const unsigned address_bytes = op.aux >> 4;
  const u64 address_mask = address_bytes == 8 ? ~u64{0} : (u64{1} << (8 * address_bytes)) - 1;
  const u64 linear = linear_in_segment(cpu, op.aux & 7, cpu.gpr(RDI) & address_mask, size, true);
  for (unsigned i = 0; i < size; i += 8) require_writable(cpu, &op, linear + i, 8);
  for (unsigned i = 0; i < size; i++) {
    if (mask[i] >> 7) write_bytes(cpu, &op, linear + i, &bytes[i], 1);
  }
}

void masked_store_xmm(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  const auto bytes = split<u8>(cpu.arch.xmm[op.dst]);
  const auto mask = split<u8>(cpu.arch.xmm[op.src]);
  store_masked(cpu, op, bytes.data(), mask.data(), 16);
}
void masked_store_mmx(Vcpu& cpu, const Op& op) {
  require_mmx(cpu);
  const auto bytes = split<u8>(cpu.arch.fpu.significand[op.dst]);
  const auto mask = split<u8>(cpu.arch.fpu.significand[op.src]);
  enter_mmx(cpu);  // even if the store faults (found on the silicon)
  store_masked(cpu, op, bytes.data(), mask.data(), 8);
}

void set_masked_operands(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  op.src = instruction.operands[1].reg;
  unsigned segment = instruction.segment_override == decoder::kNoRegister ? u8{DS} : instruction.segment_override;
  if (instruction.mode == decoder::CodeMode::bits64 && segment != FS && segment != GS) segment = DS;
  op.aux = static_cast<u8>(segment | unsigned{instruction.address_bytes} << 4);
}

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(MOVD, lower_move<u32>)
LOWER(MOVQ, lower_move<u64>)
LOWER(MOVNTQ, lower_move<u64>)
LOWER(PEXTRB, lower_extract<u8>)
LOWER(PEXTRW, lower_extract<u16>)
LOWER(PEXTRD, lower_extract<u32>)
LOWER(PEXTRQ, lower_extract<u64>)
LOWER(EXTRACTPS, lower_extract<u32>)
LOWER(PINSRB, lower_insert<u8>)
LOWER(PINSRW, lower_insert<u16>)
LOWER(PINSRD, lower_insert<u32>)
LOWER(PINSRQ, lower_insert<u64>)

template <>
Handler lower<Operation::MOVQ2DQ>(const Instruction& instruction, Op& op, LowerContext&) {
  op.dst = instruction.operands[0].reg;
  op.src = instruction.operands[1].reg;
  return &move_mmx_to_xmm;
}
template <>
Handler lower<Operation::MOVDQ2Q>(const Instruction& instruction, Op& op, LowerContext&) {
  op.dst = instruction.operands[0].reg;
  op.src = instruction.operands[1].reg;
  return &move_xmm_to_mmx;
}
template <>
Handler lower<Operation::EMMS>(const Instruction&, Op&, LowerContext&) {
  return &empty_mmx;
}
template <>
Handler lower<Operation::MASKMOVDQU>(const Instruction& instruction, Op& op, LowerContext&) {
  set_masked_operands(instruction, op);
  return &cold<&masked_store_xmm>;
}
template <>
Handler lower<Operation::MASKMOVQ>(const Instruction& instruction, Op& op, LowerContext&) {
  set_masked_operands(instruction, op);
  return &cold<&masked_store_mmx>;
}

}  // namespace rondo::software
