// Fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT; SWAPGS and the base registers (SDM 3A 5.8.7, 5.8.8).
#include "core/software/ops/system_forms.h"
#include "core/software/system/segment.h"
#include "core/software/system/transfer.h"

namespace rondo::software {
namespace {

// The fixed contents that these instructions give CS and SS: flat, present, read/write or execute/read, accessed.
Segment flat_code(u16 selector, u8 dpl, bool code64) {
  return {.selector = selector,
          .base = 0,
          .limit = 0xffffffff,
          .type = 11,
          .s = true,
          .dpl = dpl,
          .present = true,
          .avl = false,
          .l = code64,
          .db = !code64,
          .g = true};
}
Segment flat_stack(u16 selector, u8 dpl) {
  return {.selector = selector,
          .base = 0,
          .limit = 0xffffffff,
          .type = 3,
          .s = true,
          .dpl = dpl,
          .present = true,
          .avl = false,
          .l = false,
          .db = true,
          .g = true};
}

void set_flat(Vcpu& cpu, u16 cs, u16 ss, u8 cpl, bool code64) {
  set_segment(cpu, CS, flat_code(with_rpl(cs, cpl), cpl, code64));
  set_segment(cpu, SS, flat_stack(with_rpl(ss, cpl), cpl));
  cpu.cpl = cpl;
}

const Op* syscall(Vcpu& cpu, const Op* op) {
  if (!(cpu.arch.efer & efer::SCE)) [[unlikely]]
    return raise(cpu, op, fault_ud());
  const u64 rflags = cpu.rflags() & ~flags::RF, old = cpu.rflags_rest;
  cpu.gpr(RCX) = following_rip(cpu, op);
  cpu.gpr(R11) = rflags;
  const u16 selector = static_cast<u16>(cpu.arch.star >> 32) & 0xfffc;
  set_flat(cpu, selector, static_cast<u16>(selector + 8), 0, true);
  cpu.set_rflags(rflags & ~cpu.arch.sfmask);
  control_transferred(cpu, true, old);
  // Whether a single step ends here is decided by TF after the instruction, so that FMASK can keep it out of the
  // kernel.
  cpu.no_single_step = !(cpu.rflags_rest & flags::TF);
  return continue_at(cpu, op, cpu.arch.lstar);
}

// Operand size 64 returns to 64-bit mode, else to compatibility mode.
template <bool To64>
const Op* sysret(Vcpu& cpu, const Op* op) {
  if (!(cpu.arch.efer & efer::SCE)) [[unlikely]]
    return raise(cpu, op, fault_ud());
  const u64 target = To64 ? cpu.gpr(RCX) : cpu.reg<u32>(gpr_slot(RCX));
  if (cpu.cpl != 0 || !is_canonical(target)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  const u64 old = cpu.rflags_rest;
  const u16 base = static_cast<u16>(cpu.arch.star >> 48);
  set_flat(cpu, static_cast<u16>(base + (To64 ? 16 : 0)), static_cast<u16>(base + 8), 3, To64);
  constexpr u64 kLoaded = 0x3c7fd7;  // SDM 2B, SYSRET: all but RF, VM and the reserved bits
  cpu.set_rflags(cpu.gpr(R11) & kLoaded);
  control_transferred(cpu, true, old);
  if (cpu.rflags_rest & flags::TF) [[unlikely]]
    cpu.arch.pending_debug |= dr6::BS;  // as if the system call were stepped over: before the next instruction
  return continue_at(cpu, op, target);
}

void sysenter(Vcpu& cpu, const Op&) {
  const u16 selector = static_cast<u16>(cpu.arch.sysenter_cs & 0xfffc);
  if (cpu.real_mode() || selector == 0) throw fault_gp(0);
  const bool wide = cpu.long_mode();
  cpu.rflags_rest &= ~(flags::VM | flags::IF | flags::RF);
  set_flat(cpu, selector, static_cast<u16>(selector + 8), 0, wide);
  cpu.gpr(RSP) = wide ? cpu.arch.sysenter_esp : cpu.arch.sysenter_esp & 0xffffffff;
  cpu.next_rip = wide ? cpu.arch.sysenter_eip : cpu.arch.sysenter_eip & 0xffffffff;
  mode_changed(cpu);
}

template <bool To64>
void sysexit(Vcpu& cpu, const Op&) {
  const u16 selector = static_cast<u16>(cpu.arch.sysenter_cs & 0xfffc);
  if (cpu.real_mode() || selector == 0 || cpu.cpl != 0) throw fault_gp(0);
  const u64 mask = To64 ? ~u64{0} : 0xffffffff;
  const u64 rip = cpu.gpr(RDX) & mask, rsp = cpu.gpr(RCX) & mask;
  if (To64 && (!is_canonical(rip) || !is_canonical(rsp))) throw fault_gp(0);
  const unsigned offset = To64 ? 32 : 16;
  set_flat(cpu, static_cast<u16>(selector + offset), static_cast<u16>(selector + offset + 8), 3, To64);
  cpu.gpr(RSP) = rsp;
  cpu.next_rip = rip;
  mode_changed(cpu);
}

const Op* swapgs(Vcpu& cpu, const Op* op) {
  if (cpu.cpl != 0) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  const u64 base = cpu.arch.segment[GS].base;
  cpu.arch.segment[GS].base = cpu.slots[segment_slot(GS) / 8] = cpu.arch.kernel_gs_base;
  cpu.arch.kernel_gs_base = base;
  return next(cpu, op);
}

template <unsigned Name, class T>
const Op* read_base(Vcpu& cpu, const Op* op) {
  if (!(cpu.arch.cr4 & cr4::FSGSBASE)) [[unlikely]]
    return raise(cpu, op, fault_ud());
  cpu.set_reg<T>(op->dst, static_cast<T>(cpu.arch.segment[Name].base));
  return next(cpu, op);
}

template <unsigned Name, class T>
const Op* write_base(Vcpu& cpu, const Op* op) {
  if (!(cpu.arch.cr4 & cr4::FSGSBASE)) [[unlikely]]
    return raise(cpu, op, fault_ud());
  const u64 base = cpu.reg<T>(op->dst);
  if (!is_canonical(base)) [[unlikely]]
    return raise(cpu, op, fault_gp(0));
  cpu.arch.segment[Name].base = cpu.slots[segment_slot(Name) / 8] = base;
  return next(cpu, op);
}

Handler lower_base(const Instruction& instruction, Op& op, Handler narrow, Handler wide) {
  if (!in_code64(instruction)) return nullptr;
  op.dst = slot_of(instruction.operands[0]);
  return instruction.operands[0].size_bytes == 8 ? wide : narrow;
}

}  // namespace

template <>
Handler lower<Operation::SYSCALL>(const Instruction& instruction, Op&, LowerContext& context) {
  if (!in_code64(instruction)) return nullptr;
  context.ends_block = true;
  return &syscall;
}
template <>
Handler lower<Operation::SYSRET>(const Instruction& instruction, Op&, LowerContext& context) {
  if (!in_code64(instruction)) return nullptr;
  context.ends_block = true;
  return instruction.operand_bytes == 8 ? &sysret<true> : &sysret<false>;
}
template <>
Handler lower<Operation::SYSENTER>(const Instruction&, Op&, LowerContext& context) {
  return lower_ending<sysenter>(context);
}
template <>
Handler lower<Operation::SYSEXIT>(const Instruction& instruction, Op&, LowerContext& context) {
  if (in_code64(instruction) && instruction.operand_bytes == 8) return lower_ending<sysexit<true>>(context);
  return lower_ending<sysexit<false>>(context);
}
template <>
Handler lower<Operation::SWAPGS>(const Instruction& instruction, Op&, LowerContext&) {
  return in_code64(instruction) ? &swapgs : nullptr;
}
template <>
Handler lower<Operation::RDFSBASE>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_base(instruction, op, &read_base<FS, u32>, &read_base<FS, u64>);
}
template <>
Handler lower<Operation::RDGSBASE>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_base(instruction, op, &read_base<GS, u32>, &read_base<GS, u64>);
}
template <>
Handler lower<Operation::WRFSBASE>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_base(instruction, op, &write_base<FS, u32>, &write_base<FS, u64>);
}
template <>
Handler lower<Operation::WRGSBASE>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_base(instruction, op, &write_base<GS, u32>, &write_base<GS, u64>);
}

}  // namespace rondo::software
