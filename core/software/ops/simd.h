// MMX and SSE handlers: availability checks, vector operands, and the templates that turn a pure function on vectors
// into handlers for its register and memory forms.
//
// Register numbers are plain in Op::dst and Op::src (slots for general registers). Op::imm is the immediate.
#pragma once

#include "core/software/ops/handler.h"
#include "core/software/ops/lanes.h"
#include "core/software/ops/lower.h"

namespace rondo::software {

// --- Availability (SDM 3A 2.5, 13.1; SDM 2 "exceptions" tables 2-18 ff.)

// SSE: #UD if CR0.EM or not CR4.OSFXSR, #NM if CR0.TS.
[[gnu::always_inline]] inline bool sse_blocked(const Vcpu& cpu) {
  return ((cpu.arch.cr0 & (cr0::EM | cr0::TS)) | (~cpu.arch.cr4 & cr4::OSFXSR)) != 0;
}
inline Fault sse_fault(const Vcpu& cpu) {
  const bool undefined = (cpu.arch.cr0 & cr0::EM) != 0 || (cpu.arch.cr4 & cr4::OSFXSR) == 0;
  return undefined ? fault_ud() : fault_nm();
}
[[gnu::noinline, gnu::cold]] const Op* raise_sse(Vcpu& cpu, const Op* op);

// MMX: #UD if CR0.EM, #NM if CR0.TS, #MF if an x87 exception is pending.
inline constexpr u16 kX87ErrorSummary = 0x80;
[[gnu::always_inline]] inline bool mmx_blocked(const Vcpu& cpu) {
  return ((cpu.arch.cr0 & (cr0::EM | cr0::TS)) | (cpu.arch.fpu.status & kX87ErrorSummary)) != 0;
}
inline Fault mmx_fault(const Vcpu& cpu) {
  if (cpu.arch.cr0 & cr0::EM) return fault_ud();
  if (cpu.arch.cr0 & cr0::TS) return fault_nm();
  return {.vector = kMF};
}
[[gnu::noinline, gnu::cold]] const Op* raise_mmx(Vcpu& cpu, const Op* op);

// For cold bodies.
inline void require_sse(const Vcpu& cpu) {
  if (sse_blocked(cpu)) throw sse_fault(cpu);
}
inline void require_mmx(const Vcpu& cpu) {
  if (mmx_blocked(cpu)) throw mmx_fault(cpu);
}

// Every MMX instruction: TOP = 0, all registers tagged valid (SDM 1 9.5.1, 3A 12.2); EMMS tags them empty. A write also
// sets the sign and exponent to ones.
[[gnu::always_inline]] inline void enter_mmx(Vcpu& cpu) {
  cpu.arch.fpu.status &= static_cast<u16>(~0x3800);
  cpu.arch.fpu.valid = 0xff;
}
[[gnu::always_inline]] inline void write_mmx(Vcpu& cpu, unsigned reg, u64 value) {
  cpu.arch.fpu.significand[reg] = value;
  cpu.arch.fpu.sign_exponent[reg] = 0xffff;
}

// --- Memory operands

struct Source {
  const u8* bytes;
  MemStatus status;
};
// Copies the operand to Vcpu::wide_operand. `aligned`: a linear address that is not a multiple of size is #GP(0).
[[gnu::noinline]] Source slow_source(Vcpu& cpu, const Op* op, unsigned size, bool aligned);
// `in` must not point to a local variable of a handler (sibling calls).
[[gnu::noinline]] MemStatus slow_store_bytes(Vcpu& cpu, const Op* op, unsigned size, bool aligned, const void* in);

// For cold bodies: the same, throwing. size <= 16.
void read_wide(Vcpu& cpu, const Op& op, void* out, unsigned size, bool aligned);
// The second operand, whole: XMM register Op::src, or memory of `size` bytes if Op::aux is set.
Xmm read_xmm_operand(Vcpu& cpu, const Op& op, unsigned size, bool aligned);

// Where the operand is in host memory, if it can be accessed just like that; else nullptr, and the slow path decides.
// Handlers go to their slow variant by a tail call, so that the fast one needs no stack frame.
template <unsigned size, bool aligned>
[[gnu::always_inline]] inline const u8* direct_load(Vcpu& cpu, const Op* op) {
  if (op->ea != 0) [[unlikely]]
    return nullptr;
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  const bool usable = tlb_hit(cpu, entry.read_tag, linear, size) && (!aligned || linear % size == 0);
  return usable ? reinterpret_cast<const u8*>(linear + entry.host_delta) : nullptr;
}
template <unsigned size, bool aligned>
[[gnu::always_inline]] inline u8* direct_store(Vcpu& cpu, const Op* op) {
  if (op->ea != 0) [[unlikely]]
    return nullptr;
  const u64 linear = flat_linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  const bool usable = tlb_hit(cpu, entry.write_tag, linear, size) && (!aligned || linear % size == 0);
  return usable ? reinterpret_cast<u8*>(linear + entry.host_delta) : nullptr;
}

template <class T>
[[gnu::always_inline]] inline T from_bytes(const u8* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// A memory operand of fewer bytes than the vector: the rest is zero.
template <class V, unsigned size>
[[gnu::always_inline]] inline V partial_from_bytes(const u8* bytes) {
  std::array<u8, sizeof(V)> value{};
  std::memcpy(value.data(), bytes, size);
  return std::bit_cast<V>(value);
}

// --- Handlers from pure functions
//
// O::apply(a, b) or, with an immediate, O::apply(a, b, imm): a is the destination's old value, b the source.
// O::kMemory<V> and O::kAligned say what a memory source is; Packed gives the usual: the whole vector, aligned for XMM.

struct Packed {
  template <class V>
  static constexpr unsigned kMemory = sizeof(V);
  static constexpr bool kAligned = true;
};
// A source of `size` bytes without alignment (SSE4.1 PMOVSX and the like).
template <unsigned size>
struct PartialSource {
  template <class V>
  static constexpr unsigned kMemory = size;
  static constexpr bool kAligned = false;
};

template <class O, class V>
[[gnu::always_inline]] inline V apply_op(const V& a, const V& b, const Op* op) {
  if constexpr (requires { O::apply(a, b, 0u); }) {
    return O::apply(a, b, static_cast<unsigned>(op->imm & 0xff));
  } else {
    return O::apply(a, b);
  }
}

template <class O>
const Op* xmm_from_reg(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  Xmm& dst = cpu.arch.xmm[op->dst];
  dst = apply_op<O, Xmm>(dst, cpu.arch.xmm[op->src], op);
  return next(cpu, op);
}

template <class O>
[[gnu::always_inline]] inline void xmm_apply_bytes(Vcpu& cpu, const Op* op, const u8* bytes) {
  Xmm& dst = cpu.arch.xmm[op->dst];
  dst = apply_op<O, Xmm>(dst, partial_from_bytes<Xmm, O::template kMemory<Xmm>>(bytes), op);
}
template <class O>
[[gnu::noinline]] const Op* xmm_from_memory_slow(Vcpu& cpu, const Op* op) {
  const Source s = slow_source(cpu, op, O::template kMemory<Xmm>, O::kAligned);
  if (s.status == MemStatus::fault) return leave_with_fault(cpu, op);
  xmm_apply_bytes<O>(cpu, op, s.bytes);
  return finish(cpu, op, s.status);
}
template <class O>
const Op* xmm_from_memory(Vcpu& cpu, const Op* op) {
  if (sse_blocked(cpu)) [[unlikely]]
    return raise_sse(cpu, op);
  const u8* bytes = direct_load<O::template kMemory<Xmm>, O::kAligned>(cpu, op);
  if (!bytes) [[unlikely]]
    return xmm_from_memory_slow<O>(cpu, op);
  xmm_apply_bytes<O>(cpu, op, bytes);
  return next(cpu, op);
}

template <class O>
const Op* mmx_from_reg(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  enter_mmx(cpu);
  const auto& regs = cpu.arch.fpu.significand;
  write_mmx(cpu, op->dst, apply_op<O, u64>(regs[op->dst], regs[op->src], op));
  return next(cpu, op);
}

template <class O>
const Op* mmx_from_memory(Vcpu& cpu, const Op* op) {
  if (mmx_blocked(cpu)) [[unlikely]]
    return raise_mmx(cpu, op);
  constexpr unsigned kSize = O::template kMemory<u64>;
  const Source s = slow_source(cpu, op, kSize, false);  // MMX is rare: one path
  if (s.status == MemStatus::fault) [[unlikely]]
    return leave_with_fault(cpu, op);
  enter_mmx(cpu);
  write_mmx(cpu, op->dst,
            apply_op<O, u64>(cpu.arch.fpu.significand[op->dst], partial_from_bytes<u64, kSize>(s.bytes), op));
  return finish(cpu, op, s.status);
}

// destination register, source register or memory, maybe an immediate.
template <class O>
Handler lower_xmm(const Instruction& instruction, Op& op) {
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &xmm_from_memory<O>;
  op.src = instruction.operands[1].reg;
  return &xmm_from_reg<O>;
}
// The same, in MMX or XMM registers.
template <class O>
Handler lower_mmx_or_xmm(const Instruction& instruction, Op& op) {
  if (instruction.operands[0].kind == OperandKind::xmm) return lower_xmm<O>(instruction, op);
  op.dst = instruction.operands[0].reg;
  if (is_memory(instruction.operands[1])) return &mmx_from_memory<O>;
  op.src = instruction.operands[1].reg;
  return &mmx_from_reg<O>;
}

}  // namespace rondo::software

// One row of an operation table: NAME(a, b) in lane functions; V is the vector type.
#define RONDO_PACKED(name, lowering, ...)                                                 \
  namespace {                                                                             \
  struct name##_Function : Packed {                                                       \
    template <class V>                                                                    \
    [[gnu::always_inline]] static V apply([[maybe_unused]] const V& a, const V& b) {      \
      return __VA_ARGS__;                                                                 \
    }                                                                                     \
  };                                                                                      \
  }                                                                                       \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return lowering<name##_Function>(instruction, op);                                    \
  }
// The same with an immediate `imm`, 0..255.
#define RONDO_PACKED_IMM(name, lowering, ...)                                                      \
  namespace {                                                                                      \
  struct name##_Function : Packed {                                                                \
    template <class V>                                                                             \
    [[gnu::always_inline]] static V apply([[maybe_unused]] const V& a, const V& b, unsigned imm) { \
      return __VA_ARGS__;                                                                          \
    }                                                                                              \
  };                                                                                               \
  }                                                                                                \
  template <>                                                                                      \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) {          \
    return lowering<name##_Function>(instruction, op);                                             \
  }
