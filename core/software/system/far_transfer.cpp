#include "core/software/system/far_transfer.h"

#include "core/software/system/stack.h"
#include "core/software/system/transfer.h"
#include "core/software/system/tss.h"

namespace rondo::software {
namespace {

bool uses_real_segments(const Vcpu& cpu) { return cpu.real_mode() || cpu.v8086(); }

void transfer_real(Vcpu& cpu, FarPointer target) {
  if (target.offset > cpu.arch.segment[CS].limit) throw fault_gp(0);
  load_segment_real(cpu, CS, target.selector);
  cpu.next_rip = target.offset;
  mode_changed(cpu);
}

// L and D together are reserved in IA-32e mode (SDM 3A 5.2.1).
void check_code_bits(const Vcpu& cpu, u16 selector, const Descriptor& code) {
  if (cpu.long_mode() && code.l() && code.db()) throw_selector_fault(kGP, selector);
}

// A code segment reached without a gate runs at the present CPL (SDM 3A 5.8.1).
void check_direct(const Vcpu& cpu, u16 selector, const Descriptor& code) {
  if (!code.is_code()) throw_selector_fault(kGP, selector);
  if (code.is_conforming() ? code.dpl() > cpu.cpl : rpl_of(selector) > cpu.cpl || code.dpl() != cpu.cpl)
    throw_selector_fault(kGP, selector);
  check_code_bits(cpu, selector, code);
  if (!code.present()) throw_selector_fault(kNP, selector);
}

void enter_code(Vcpu& cpu, u16 selector, Descriptor& code, u8 cpl, u64 rip) {
  const bool was_code64 = cpu.code64();
  set_accessed(cpu, selector, code);
  set_code_segment(cpu, code.to_segment(selector), cpl);
  cpu.next_rip = rip;
  control_transferred(cpu, was_code64, cpu.rflags_rest);
}

struct GateTarget {
  u16 selector;
  u64 offset;
  Descriptor code;
  unsigned bytes;  // of what CALL pushes
  unsigned parameters;
};

GateTarget open_call_gate(Vcpu& cpu, u16 selector, Descriptor& gate, bool jump) {
  if (gate.dpl() < cpu.cpl || rpl_of(selector) > gate.dpl()) throw_selector_fault(kGP, selector);
  complete_system_descriptor(cpu, selector, gate);
  if (!gate.present()) throw_selector_fault(kNP, selector);
  GateTarget target;
  target.selector = gate.gate_selector();
  const bool wide = gate.type() & 8;
  target.bytes = cpu.long_mode() ? 8 : wide ? 4 : 2;
  target.offset = gate.gate_offset() & (wide ? ~u64{0} : 0xffff);
  target.parameters = gate.gate_parameters();
  if (is_null(target.selector)) throw fault_gp(0);
  target.code = read_descriptor(cpu, target.selector);
  const Descriptor& code = target.code;
  if (!code.is_code() || code.dpl() > cpu.cpl) throw_selector_fault(kGP, target.selector);
  if (jump && !code.is_conforming() && code.dpl() != cpu.cpl) throw_selector_fault(kGP, target.selector);
  if (cpu.long_mode() && (!code.l() || code.db())) throw_selector_fault(kGP, target.selector);
  if (!code.present()) throw_selector_fault(kNP, target.selector);
  return target;
}

// A jump or call to a TSS, directly or through a task gate.
void enter_task(Vcpu& cpu, const Op& op, u16 selector, const Descriptor& descriptor, TaskSwitch cause) {
  if (descriptor.dpl() < cpu.cpl || rpl_of(selector) > descriptor.dpl()) throw_selector_fault(kGP, selector);
  u16 tss_selector = selector;
  Descriptor tss = descriptor;
  if (descriptor.is_system(SystemType::task_gate)) {
    if (!descriptor.present()) throw_selector_fault(kNP, selector);
    tss_selector = descriptor.gate_selector();
    if (tss_selector & 4) throw_selector_fault(kGP, tss_selector);
    tss = read_descriptor(cpu, tss_selector);
  }
  if (!tss.is_tss_available()) throw_selector_fault(kGP, tss_selector);
  if (!tss.present()) throw_selector_fault(kNP, tss_selector);
  switch_task(cpu, &op, tss_selector, tss, {.cause = cause, .return_rip = cpu.next_rip});
  cpu.next_rip = cpu.rip;
}

enum class SystemTarget : u8 { call_gate, task };

SystemTarget classify(const Vcpu& cpu, u16 selector, const Descriptor& descriptor) {
  const SystemType type = descriptor.system_type();
  if (type == SystemType::call_gate32) return SystemTarget::call_gate;
  if (cpu.long_mode()) throw_selector_fault(kGP, selector);
  if (type == SystemType::call_gate16) return SystemTarget::call_gate;
  const bool task = type == SystemType::task_gate || descriptor.is_tss_available() || descriptor.is_tss_busy();
  if (!task) throw_selector_fault(kGP, selector);
  return SystemTarget::task;
}

// CALL through a gate to a more privileged segment: a new stack from the TSS, with the caller's and the parameters on
// it (SDM 3A 5.8.5).
void call_inner(Vcpu& cpu, const Op& op, GateTarget& target) {
  const u8 cpl = target.code.dpl();
  const bool wide = cpu.long_mode();
  const Segment old_ss = cpu.arch.segment[SS];
  const u64 old_sp = cpu.gpr(RSP);
  Segment ss = null_segment(cpl);
  ss.dpl = cpl;
  u64 sp;
  if (wide) {
    sp = inner_rsp(cpu, cpl);
  } else {
    const StackAddress address = inner_stack(cpu, cpl);
    ss = checked_stack_segment(cpu, address.ss, cpl, kTS);
    sp = address.sp;
  }
  check_target(cpu, target.code.to_segment(target.selector), target.offset);

  std::array<u32, 32> parameters{};
  const unsigned count = wide ? 0 : target.parameters;
  const StackCursor caller(cpu, &op);
  for (unsigned i = 0; i < count; ++i)
    parameters[i] = static_cast<u32>(caller.peek(u64{i} * target.bytes, target.bytes));

  CplScope scope(cpu, cpl);
  StackCursor stack(cpu, &op, ss, sp, wide ? 8 : stack_address_bytes(ss), error_of(ss.selector));
  stack.push(old_ss.selector, target.bytes);
  stack.push(old_sp, target.bytes);
  for (unsigned i = count; i-- > 0;) stack.push(parameters[i], target.bytes);
  stack.push(cpu.arch.segment[CS].selector, target.bytes);
  stack.push(cpu.next_rip, target.bytes);
  scope.commit();
  set_segment(cpu, SS, ss);
  cpu.gpr(RSP) = stack.pointer();
  enter_code(cpu, target.selector, target.code, cpl, target.offset);
}

void call_same_level(Vcpu& cpu, const Op& op, u16 selector, Descriptor& code, u64 rip, unsigned bytes) {
  check_target(cpu, code.to_segment(selector), rip);
  StackCursor stack(cpu, &op);
  stack.push(cpu.arch.segment[CS].selector, bytes);
  stack.push(cpu.next_rip, bytes);
  cpu.gpr(RSP) = stack.pointer();
  enter_code(cpu, selector, code, cpu.cpl, rip);
}

}  // namespace

void far_jump(Vcpu& cpu, const Op& op, FarPointer target, unsigned) {
  if (uses_real_segments(cpu)) return transfer_real(cpu, target);
  if (is_null(target.selector)) throw fault_gp(0);
  Descriptor descriptor = read_descriptor(cpu, target.selector);
  if (descriptor.s()) {
    check_direct(cpu, target.selector, descriptor);
    check_target(cpu, descriptor.to_segment(target.selector), target.offset);
    return enter_code(cpu, target.selector, descriptor, cpu.cpl, target.offset);
  }
  if (classify(cpu, target.selector, descriptor) == SystemTarget::task) {
    return enter_task(cpu, op, target.selector, descriptor, TaskSwitch::jump);
  }
  GateTarget gate = open_call_gate(cpu, target.selector, descriptor, true);
  check_target(cpu, gate.code.to_segment(gate.selector), gate.offset);
  enter_code(cpu, gate.selector, gate.code, cpu.cpl, gate.offset);
}

void far_call(Vcpu& cpu, const Op& op, FarPointer target, unsigned operand_bytes) {
  if (uses_real_segments(cpu)) {
    if (target.offset > cpu.arch.segment[CS].limit) throw fault_gp(0);
    StackCursor stack(cpu, &op);
    stack.push(cpu.arch.segment[CS].selector, operand_bytes);
    stack.push(cpu.next_rip, operand_bytes);
    cpu.gpr(RSP) = stack.pointer();
    return transfer_real(cpu, target);
  }
  if (is_null(target.selector)) throw fault_gp(0);
  Descriptor descriptor = read_descriptor(cpu, target.selector);
  if (descriptor.s()) {
    check_direct(cpu, target.selector, descriptor);
    return call_same_level(cpu, op, target.selector, descriptor, target.offset, operand_bytes);
  }
  if (classify(cpu, target.selector, descriptor) == SystemTarget::task) {
    return enter_task(cpu, op, target.selector, descriptor, TaskSwitch::call);
  }
  GateTarget gate = open_call_gate(cpu, target.selector, descriptor, false);
  if (!gate.code.is_conforming() && gate.code.dpl() < cpu.cpl) return call_inner(cpu, op, gate);
  call_same_level(cpu, op, gate.selector, gate.code, gate.offset, gate.bytes);
}

}  // namespace rondo::software
