// From a vector to its handler: real-mode table, gates of protected mode, 64-bit gates with IST.
#include "core/software/system/exceptions.h"
#include "core/software/system/stack.h"
#include "core/software/system/tss.h"

namespace rondo::software {
namespace {

constexpr u32 kIdtBit = 2;  // the error code names an IDT entry

bool by_instruction(EventKind kind) {
  return kind == EventKind::software || kind == EventKind::int3 || kind == EventKind::into;
}

[[noreturn]] void throw_gate_fault(u8 fault_vector, u8 vector) {
  throw Fault{.vector = fault_vector, .has_error_code = true, .error_code = vector * 8U | kIdtBit};
}

// SDM 3B 20.1.4
void enter_real(Vcpu& cpu, const Op* op, const Event& event, u64 return_rip) {
  const u64 entry = event.vector * 4U;
  if (entry + 3 > cpu.arch.idtr.limit) throw_gate_fault(kGP, event.vector);
  const u32 target = read_system<u32>(cpu, cpu.arch.idtr.base + entry);
  StackCursor stack(cpu, op);
  stack.push(cpu.rflags() & 0xffff, 2);
  stack.push(cpu.arch.segment[CS].selector, 2);
  stack.push(return_rip, 2);
  cpu.gpr(RSP) = stack.pointer();
  cpu.rflags_rest &= ~(flags::IF | flags::TF | flags::AC | flags::RF);
  load_segment_real(cpu, CS, static_cast<u16>(target >> 16));
  cpu.rip = target & 0xffff;
  mode_changed(cpu);
}

void check_gate(const Event& event, const Descriptor& gate, u8 old_cpl) {
  if (by_instruction(event.kind) && gate.dpl() < old_cpl) throw_gate_fault(kGP, event.vector);
  if (!gate.present()) throw_gate_fault(kNP, event.vector);
}

// The handler's code segment, coming from `old_cpl`. `cpl` becomes its privilege level.
Descriptor handler_segment(Vcpu& cpu, u16 selector, u8 old_cpl, u8& cpl) {
  if (is_null(selector)) throw fault_gp(0);
  const Descriptor code = read_descriptor(cpu, selector);
  if (!code.is_code() || code.dpl() > old_cpl) throw_selector_fault(kGP, selector);
  if (cpu.long_mode() && (!code.l() || code.db())) throw_selector_fault(kGP, selector);
  if (!code.present()) throw_selector_fault(kNP, selector);
  cpl = code.is_conforming() ? old_cpl : code.dpl();
  return code;
}

u64 flags_in_handler(const Vcpu& cpu, bool interrupt_gate) {
  const u64 cleared = flags::TF | flags::NT | flags::RF | flags::VM | (interrupt_gate ? flags::IF : 0);
  return cpu.rflags_rest & ~cleared;
}

// SDM 3A 6.14
void enter_64(Vcpu& cpu, const Op* op, const Event& event, u64 return_rip) {
  const u8 old_cpl = cpu.cpl;
  const u64 entry = event.vector * 16U;
  if (entry + 15 > cpu.arch.idtr.limit) throw_gate_fault(kGP, event.vector);
  const u64 gate_address = cpu.arch.idtr.base + entry;
  // The tables are read and the new stack is written at the handler's level, which is nearly always 0.
  CplScope scope(cpu, 0);
  const Descriptor gate{.low = read_system<u64>(cpu, gate_address), .high = read_system<u64>(cpu, gate_address + 8)};
  const bool interrupt_gate = gate.is_system(SystemType::interrupt_gate32);
  if (!interrupt_gate && !gate.is_system(SystemType::trap_gate32)) throw_gate_fault(kGP, event.vector);
  check_gate(event, gate, old_cpl);
  const u16 selector = gate.gate_selector();
  u8 cpl = 0;
  Descriptor code = handler_segment(cpu, selector, old_cpl, cpl);
  if (!is_canonical(gate.gate_offset())) throw fault_gp(0);

  u64 rsp = cpu.gpr(RSP);
  if (gate.gate_ist())
    rsp = interrupt_stack(cpu, gate.gate_ist());
  else if (cpl != old_cpl)
    rsp = inner_rsp(cpu, cpl);
  scope.set(cpl);
  StackCursor stack(cpu, op, cpu.arch.segment[SS], rsp & ~u64{15}, 8);
  stack.push(cpu.arch.segment[SS].selector, 8);
  stack.push(cpu.gpr(RSP), 8);
  stack.push(cpu.rflags(), 8);
  stack.push(cpu.arch.segment[CS].selector, 8);
  stack.push(return_rip, 8);
  if (event.has_error_code) stack.push(event.error_code, 8);
  set_accessed(cpu, selector, code);
  scope.commit();

  const bool same_mode = cpu.arch.segment[CS].l && !(cpu.rflags_rest & flags::TF);
  set_code_segment(cpu, code.to_segment(selector), cpl);
  if (cpl != old_cpl) {
    Segment ss = null_segment(cpl);
    ss.dpl = cpl;
    set_segment(cpu, SS, ss);
  }
  cpu.gpr(RSP) = stack.pointer();
  cpu.rflags_rest = flags_in_handler(cpu, interrupt_gate);
  cpu.rip = gate.gate_offset();
  if (!same_mode) mode_changed(cpu);
}

void enter_task_gate(Vcpu& cpu, const Op* op, const Event& event, const Descriptor& gate, u64 return_rip) {
  const u16 selector = gate.gate_selector();
  if (selector & 4) throw_selector_fault(kGP, selector);
  const Descriptor tss = read_descriptor(cpu, selector);
  if (!tss.is_tss_available()) throw_selector_fault(kGP, selector);
  if (!tss.present()) throw_selector_fault(kNP, selector);
  switch_task(cpu, op, selector, tss,
              {.cause = TaskSwitch::interrupt,
               .return_rip = return_rip,
               .has_error_code = event.has_error_code,
               .error_code = event.error_code,
               .depth = event.depth});
}

// SDM 3A 6.12.1 and 3B 20.3
void enter_protected(Vcpu& cpu, const Op* op, const Event& event, u64 return_rip) {
  const u64 entry = event.vector * 8U;
  if (entry + 7 > cpu.arch.idtr.limit) throw_gate_fault(kGP, event.vector);
  const Descriptor gate{.low = read_system<u64>(cpu, (cpu.arch.idtr.base + entry) & 0xffffffff)};
  const SystemType type = gate.system_type();
  const bool interrupt_gate = type == SystemType::interrupt_gate16 || type == SystemType::interrupt_gate32;
  const bool trap_gate = type == SystemType::trap_gate16 || type == SystemType::trap_gate32;
  if (gate.s() || (!interrupt_gate && !trap_gate && type != SystemType::task_gate)) throw_gate_fault(kGP, event.vector);
  check_gate(event, gate, cpu.cpl);
  if (type == SystemType::task_gate) return enter_task_gate(cpu, op, event, gate, return_rip);

  const unsigned size = gate.type() & 8 ? 4 : 2;
  const u64 target = gate.gate_offset() & (size == 4 ? 0xffffffff : 0xffff);
  const u16 selector = gate.gate_selector();
  const bool from_v8086 = cpu.v8086();
  u8 cpl = 0;
  Descriptor code = handler_segment(cpu, selector, cpu.cpl, cpl);
  if (from_v8086 && cpl != 0) throw_selector_fault(kGP, selector);
  const bool inner = cpl < cpu.cpl;

  const Segment old_ss = cpu.arch.segment[SS];
  Segment ss = old_ss;
  u64 sp = cpu.gpr(RSP);
  u32 stack_error = 0;
  if (inner) {
    const StackAddress address = inner_stack(cpu, cpl);
    ss = checked_stack_segment(cpu, address.ss, cpl, kTS);
    sp = address.sp;
    stack_error = error_of(address.ss);
  }
  if (target > code.limit()) throw fault_gp(0);

  CplScope scope(cpu, cpl);
  StackCursor stack(cpu, op, ss, sp, stack_address_bytes(ss), stack_error);
  if (inner) {
    if (from_v8086) {
      for (const unsigned name : {GS, FS, DS, ES}) stack.push(cpu.arch.segment[name].selector, size);
    }
    stack.push(old_ss.selector, size);
    stack.push(cpu.gpr(RSP), size);
  }
  stack.push(cpu.rflags(), size);
  stack.push(cpu.arch.segment[CS].selector, size);
  stack.push(return_rip, size);
  if (event.has_error_code) stack.push(event.error_code, size);
  set_accessed(cpu, selector, code);
  scope.commit();

  if (from_v8086) {
    for (const unsigned name : {GS, FS, DS, ES}) set_segment(cpu, name, null_segment(0));
  }
  cpu.rflags_rest = flags_in_handler(cpu, interrupt_gate);
  if (inner) set_segment(cpu, SS, ss);
  cpu.gpr(RSP) = stack.pointer();
  set_code_segment(cpu, code.to_segment(selector), cpl);
  cpu.rip = target;
  mode_changed(cpu);
}

}  // namespace

void enter_handler(Vcpu& cpu, const Op* op, const Event& event, u64 return_rip) {
  if (cpu.real_mode()) return enter_real(cpu, op, event, return_rip);
  if (cpu.long_mode()) return enter_64(cpu, op, event, return_rip);
  // INT n in virtual-8086 mode without VME needs IOPL 3 (SDM 3B 20.2.7).
  if (cpu.v8086() && event.kind == EventKind::software && cpu.iopl() < 3) throw fault_gp(0);
  enter_protected(cpu, op, event, return_rip);
}

}  // namespace rondo::software
