// Hardware task switches (SDM 3A 7.3). Never in IA-32e mode.
#include "core/software/system/exceptions.h"
#include "core/software/system/stack.h"
#include "core/software/system/tss.h"

namespace rondo::software {
namespace {

// What both TSS formats hold (SDM 3A figures 7-2 and 7-10).
struct TaskState {
  u32 cr3 = 0, eip = 0, eflags = 0;
  std::array<u32, 8> gpr{};
  std::array<u16, 6> selector{};  // 16-bit tasks have no FS and GS
  u16 ldt = 0;
  bool debug_trap = false;
};

struct Layout {
  unsigned bytes;         // of EIP, EFLAGS, registers
  unsigned segment_step;  // distance of the selectors
  unsigned segments;
  u32 eip, gpr, selectors, ldt;
  u32 minimum_limit;
};
constexpr Layout kLayout32{4, 4, 6, 0x20, 0x28, 0x48, 0x60, 0x67};
constexpr Layout kLayout16{2, 2, 4, 0x0e, 0x12, 0x22, 0x2a, 0x2b};
constexpr u32 kCr3Offset = 0x1c, kTrapOffset = 0x64;

u32 read_field(Vcpu& cpu, u64 base, u32 offset, unsigned bytes) {
  const u64 at = (base + offset) & 0xffffffff;
  return bytes == 4 ? read_system<u32>(cpu, at) : read_system<u16>(cpu, at);
}

void write_field(Vcpu& cpu, u64 base, u32 offset, unsigned bytes, u32 value) {
  const u64 at = (base + offset) & 0xffffffff;
  if (bytes == 4)
    write_system<u32>(cpu, at, value);
  else
    write_system<u16>(cpu, at, static_cast<u16>(value));
}

void save_task(Vcpu& cpu, u64 base, const Layout& layout, u32 eip, u32 eflags) {
  const unsigned n = layout.bytes;
  write_field(cpu, base, layout.eip, n, eip);
  write_field(cpu, base, layout.eip + n, n, eflags);
  for (unsigned i = 0; i < 8; ++i) write_field(cpu, base, layout.gpr + n * i, n, static_cast<u32>(cpu.gpr(i)));
  for (unsigned i = 0; i < layout.segments; ++i) {
    write_field(cpu, base, layout.selectors + layout.segment_step * i, 2, cpu.arch.segment[i].selector);
  }
}

TaskState read_task(Vcpu& cpu, u64 base, const Layout& layout) {
  TaskState task;
  const unsigned n = layout.bytes;
  const bool wide = n == 4;
  if (wide) task.cr3 = read_field(cpu, base, kCr3Offset, 4);
  task.eip = read_field(cpu, base, layout.eip, n);
  task.eflags = read_field(cpu, base, layout.eip + n, n);
  // A 16-bit task leaves the upper halves of the registers undefined; they read as ones on processors since the 386.
  for (unsigned i = 0; i < 8; ++i) task.gpr[i] = read_field(cpu, base, layout.gpr + n * i, n) | (wide ? 0 : 0xffff0000);
  for (unsigned i = 0; i < layout.segments; ++i) {
    task.selector[i] = static_cast<u16>(read_field(cpu, base, layout.selectors + layout.segment_step * i, 2));
  }
  task.ldt = static_cast<u16>(read_field(cpu, base, layout.ldt, 2));
  task.debug_trap = wide && (read_field(cpu, base, kTrapOffset, 2) & 1);
  return task;
}

void load_ldt(Vcpu& cpu, u16 selector) {
  cpu.arch.ldtr = null_ldt(selector);
  if (is_null(selector)) return;
  if (selector & 4) throw_selector_fault(kTS, selector);
  const Descriptor descriptor = read_descriptor(cpu, selector, kTS);
  if (!descriptor.is_system(SystemType::ldt) || !descriptor.present()) throw_selector_fault(kTS, selector);
  cpu.arch.ldtr = descriptor.to_segment(selector);
}

void load_task_code(Vcpu& cpu, u16 selector) {
  if (is_null(selector)) throw_selector_fault(kTS, selector);
  Descriptor code = read_descriptor(cpu, selector, kTS);
  const u8 rpl = rpl_of(selector);
  if (!code.is_code() || (code.is_conforming() ? code.dpl() > rpl : code.dpl() != rpl))
    throw_selector_fault(kTS, selector);
  if (!code.present()) throw_selector_fault(kNP, selector);
  set_accessed(cpu, selector, code);
  set_code_segment(cpu, code.to_segment(selector), rpl);
}

void load_task_data(Vcpu& cpu, unsigned name, u16 selector) {
  try {
    load_segment(cpu, name, selector);
  } catch (Fault& fault) {
    if (fault.vector == kGP) fault.vector = kTS;
    throw;
  }
}

// Everything that can fault once the new task has begun.
void load_task_segments(Vcpu& cpu, const Op* op, const TaskState& task, unsigned bytes, const TaskEntry& entry) {
  load_ldt(cpu, task.ldt);
  if (cpu.v8086()) {
    for (unsigned name = 0; name < 6; ++name) load_segment_real(cpu, name, task.selector[name]);
    cpu.cpl = 3;
  } else {
    const u8 cpl = rpl_of(task.selector[CS]);
    load_task_code(cpu, task.selector[CS]);
    set_segment(cpu, SS, checked_stack_segment(cpu, task.selector[SS], cpl, kTS));
    for (const unsigned name : {ES, DS, FS, GS}) load_task_data(cpu, name, task.selector[name]);
  }
  mode_changed(cpu);
  if (entry.has_error_code) {
    StackCursor stack(cpu, op);
    stack.push(entry.error_code, bytes);
    cpu.gpr(RSP) = stack.pointer();
  }
  if (cpu.rip > cpu.arch.segment[CS].limit) throw fault_gp(0);
}

}  // namespace

void switch_task(Vcpu& cpu, const Op* op, u16 selector, const Descriptor& tss, const TaskEntry& entry) {
  const Segment old_tr = cpu.arch.tr;
  const Layout& old_layout = old_tr.type & 8 ? kLayout32 : kLayout16;
  const Layout& layout = tss.type() & 8 ? kLayout32 : kLayout16;
  if (tss.limit() < layout.minimum_limit) throw_selector_fault(kTS, selector);
  if (old_tr.limit < old_layout.minimum_limit) throw_selector_fault(kTS, old_tr.selector);

  // All that can fault happens before anything changes.
  const TaskState task = read_task(cpu, tss.base(), layout);
  require_writable(cpu, op, old_tr.base, old_layout.minimum_limit + 1, Privilege::system);
  const bool nested = entry.cause == TaskSwitch::call || entry.cause == TaskSwitch::interrupt;
  if (nested) require_writable(cpu, op, tss.base(), 2, Privilege::system);

  if (entry.cause == TaskSwitch::jump || entry.cause == TaskSwitch::iret) set_busy(cpu, old_tr.selector, false);
  const u64 old_flags = entry.cause == TaskSwitch::iret ? cpu.rflags() & ~flags::NT : cpu.rflags();
  save_task(cpu, old_tr.base, old_layout, static_cast<u32>(entry.return_rip), static_cast<u32>(old_flags));
  if (nested) write_field(cpu, tss.base(), 0, 2, old_tr.selector);
  if (entry.cause != TaskSwitch::iret) set_busy(cpu, selector, true);

  cpu.arch.tr = tss.to_segment(selector);
  cpu.arch.tr.type |= kTssBusyBit;
  cpu.arch.cr0 |= cr0::TS;
  cpu.arch.dr7 &= ~u64{0x55};  // the local enables (SDM 3A 7.2.1)
  if (layout.bytes == 4 && (cpu.arch.cr0 & cr0::PG)) cpu.arch.cr3 = task.cr3;
  for (unsigned i = 0; i < 8; ++i) cpu.gpr(i) = task.gpr[i];
  constexpr u64 kWritable = flags::kArithmetic | flags::TF | flags::IF | flags::DF | flags::IOPL | flags::NT |
                            flags::RF | flags::VM | flags::AC | flags::VIF | flags::VIP | flags::ID;
  cpu.set_rflags((task.eflags & kWritable) | (nested ? flags::NT : 0));
  cpu.rip = task.eip;
  // Until they are loaded, the selectors stand with unusable contents.
  for (unsigned name = 0; name < 6; ++name) {
    if (name != CS && name != SS)
      set_segment(cpu, name, null_segment(task.selector[name]));
    else
      cpu.arch.segment[name].selector = task.selector[name];
  }
  cpu.attention = true;
  mode_changed(cpu);
  try {
    load_task_segments(cpu, op, task, layout.bytes, entry);
  } catch (const Fault& fault) {
    mode_changed(cpu);
    deliver(cpu, fault, entry.depth + 1);  // in the new task: its first instruction has not begun
    return;
  }
  if (task.debug_trap) deliver(cpu, Fault{.vector = kDB, .dr6 = dr6::BT}, entry.depth + 1);
}

}  // namespace rondo::software
