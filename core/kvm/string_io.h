// String instructions, which KVM's emulator does not do as a processor does.
#pragma once

#include "core/cpu/state.h"
#include "core/kvm/vcpu.h"
#include "core/memory/physical_memory.h"

namespace rondo::kvm {

// Whether registers may be those of end_finished_repeat(): cheap, and seldom true.
inline bool may_be_finished_repeat(const kvm_regs& regs) {
  return (regs.rflags & flags::RF) && (regs.rcx & 0xffff) == 0;
}
// The emulator looks at the count of a repeated instruction before an iteration and not after it: when the last one was
// done, RIP still stands on the instruction, with RF set and nothing left to do. A processor has gone on, and so does
// this.
Status end_finished_repeat(const VcpuHandle& vcpu, const PhysicalMemory& memory, CpuState& state);

// Whether the instruction at `state` is a string instruction that can read a device: INS, MOVS, CMPS, LODS, SCAS. The
// emulator does up to a thousand iterations without letting anything in between; and of INS it reads the device for a
// whole batch, and finds only then that the page to write is not there, where a processor looks first.
Result<bool> is_string_input(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& state);
// The vCPU has come out of KVM_RUN for a device's data for such an instruction, and `state` is that before this
// iteration: makes KVM forget it, and memory what it was. KVM's registers are then undefined.
Status withdraw_input(VcpuHandle& vcpu, PhysicalMemory& memory, const CpuState& state);

}  // namespace rondo::kvm
