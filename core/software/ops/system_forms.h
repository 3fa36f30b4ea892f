// What the handlers of system instructions share.
#pragma once

#include "core/software/block.h"
#include "core/software/ops/handler.h"
#include "core/software/ops/lower.h"

namespace rondo::software {

inline bool in_code64(const Instruction& instruction) { return instruction.mode == decoder::CodeMode::bits64; }

// An instruction after which the driver looks.
template <ColdBody body>
Handler lower_ending(LowerContext& context) {
  context.ends_block = true;
  return &ending<body>;
}

inline void require_cpl0(const Vcpu& cpu) {
  if (cpu.cpl != 0) throw fault_gp(0);
}
// LLDT, LAR and others exist in protected mode only (#UD in real and virtual-8086 mode).
inline void require_protected(const Vcpu& cpu) {
  if (cpu.real_mode() || cpu.v8086()) throw fault_ud();
}

inline void set_edx_eax(Vcpu& cpu, u64 value) {
  cpu.set_reg<u32>(gpr_slot(RAX), static_cast<u32>(value));
  cpu.set_reg<u32>(gpr_slot(RDX), static_cast<u32>(value >> 32));
}
// RDTSC or RDTSCP, at the Clock's Moment.
template <bool kWithAux>
void put_time_stamp(Vcpu& cpu) {
  set_edx_eax(cpu, cpu.tsc());
  if (kWithAux) cpu.set_reg<u32>(gpr_slot(RCX), static_cast<u32>(cpu.arch.tsc_aux));
}

// CPUID, as the CPU model has it.
void put_model_cpuid(Vcpu& cpu);

// The last Op of a block has retired in 64-bit code: goes on at `rip` without the driver, if nobody wants it.
[[gnu::always_inline]] inline const Op* continue_at(Vcpu& cpu, const Op* op, u64 rip) {
  if (!cpu.attention && !(cpu.rflags_rest & (flags::RF | flags::TF)) && cpu.code64() && op->left == 1) [[likely]] {
    return enter_at(cpu, rip);
  }
  cpu.remaining += op->left - 1;
  cpu.rip = rip;
  cpu.leave = Leave::attention;
  return nullptr;
}

// The RIP after *op in 64-bit code.
[[gnu::always_inline]] inline u64 following_rip(const Vcpu& cpu, const Op* op) {
  return cpu.slots[kSlotRip / 8] + op->next_offset;
}

// The destination of a 16-bit system value: a register takes it zero-extended to its size, memory 16 bits (SLDT, STR,
// MOV from a segment register).
void store_selector(Vcpu& cpu, const Op& op, u16 value);
// op.dst and op.aux for the operand `n`: aux is the register's size in bytes, or 0 for memory.
void set_destination(const Instruction& instruction, Op& op, unsigned n = 0);
// The 16-bit source of the same kind of operand: src and aux.
void set_source(const Instruction& instruction, Op& op, unsigned n);
u16 read_source16(Vcpu& cpu, const Op& op);

}  // namespace rondo::software
