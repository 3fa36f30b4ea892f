// Code at CPL 3 on KVM, everything else on another engine: for hosts whose KVM emulates CPL 0 (rondo doctor).
//
// KVM is shown a machine without an interrupt table and without system calls, so that whatever would enter the kernel
// ends in a triple fault instead, with the registers as they were. The other engine then executes that instruction
// again and enters the kernel.
#pragma once

#include <optional>
#include <span>

#include "core/cpu/state.h"
#include "core/kvm/vcpu.h"
#include "core/memory/physical_memory.h"

namespace rondo::kvm {

// Whether these bytes lie before RIP: what KVM has just executed, if it went on to the next instruction.
Result<bool> is_behind(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& state,
                       std::span<const u8> instruction);
// Whether the instruction before RIP is INT3: it may be half done, for KVM tells nobody of its exception.
Result<bool> is_behind_int3(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& state);

class UserView {
 public:
  UserView(VcpuHandle& vcpu, const PhysicalMemory& memory) : vcpu_(vcpu), memory_(memory) {}

  enum class Fit : u8 {
    fits,        // the next instruction may run on KVM
    not_yet,     // after the next one, probably
    other_code,  // such code is the other engine's: it takes a while
    supervisor   // not at CPL 3
  };
  // host_descriptors: KvmEngineConfig.
  static Fit fit(const CpuState& state, bool host_descriptors);
  Status enter(const CpuState& state, u64 apic_base);
  // What code at CPL 3 can change. Everything else in `state` is what it was. A SYSCALL that has begun is to be executed
  // again: RCX and R11, which it changes, are all that is left of it.
  Status leave(CpuState& state) const;
  // After a triple fault: `state` is made that before the instruction that caused it.
  Status take_back(CpuState& state) const;

 private:
  Status prepare();
  VcpuHandle& vcpu_;
  const PhysicalMemory& memory_;
  bool prepared_ = false;
  mutable std::optional<XsaveArea> loaded_;  // what KVM has
  mutable bool in_system_call_ = false;      // leave() found one
};

}  // namespace rondo::kvm
