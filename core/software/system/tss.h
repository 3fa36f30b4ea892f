// The task-state segment: inner stacks, the I/O permission map (SDM 3A 7.2, 7.7), and hardware task switches (7.3).
#pragma once

#include "core/software/system/segment.h"

namespace rondo::software {

struct StackAddress {
  u16 ss = 0;
  u64 sp = 0;
};

// SS:SP for a privilege level from the current 16- or 32-bit TSS. #TS(TR) if it lies outside.
StackAddress inner_stack(Vcpu& cpu, unsigned level);
// 64-bit TSS: RSP0..2, and IST1..7.
u64 inner_rsp(Vcpu& cpu, unsigned level);
u64 interrupt_stack(Vcpu& cpu, unsigned ist);

// Whether IN/OUT may touch [port, port + size): IOPL, else the I/O permission bit map (SDM 1 19.5).
bool io_permitted(Vcpu& cpu, u16 port, unsigned size);

enum class TaskSwitch : u8 { jump, call, iret, interrupt };
// What the new task finds on its stack, and how deep in failed deliveries this is.
struct TaskEntry {
  TaskSwitch cause = TaskSwitch::jump;
  u64 return_rip = 0;
  bool has_error_code = false;
  u32 error_code = 0;
  unsigned depth = 0;
};
// Switches to the task of `selector`, whose TSS descriptor has been found present and (but for iret) available. cpu.rip
// becomes the new task's; faults after the point of no return are delivered in the new task.
void switch_task(Vcpu& cpu, const Op* op, u16 selector, const Descriptor& tss, const TaskEntry& entry);

}  // namespace rondo::software
