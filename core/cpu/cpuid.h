// CPUID of the CPU model rondo-v1 (docs/cpu-model.md). It advertises what the software engine implements, no more.
#pragma once

#include "core/base/types.h"

namespace rondo {

// CPUID.1:EAX, and EDX after reset. Family 6, model 36H, stepping 1: an in-order core, which operating systems know to
// need no mitigation of speculative-execution attacks.
inline constexpr u32 kCpuSignature = 0x00030661;
inline constexpr u64 kTscHz = 1'000'000'000;  // the TSC counts virtual nanoseconds
inline constexpr u32 kMicrocodeRevision = 1;

struct CpuidResult {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
  bool operator==(const CpuidResult&) const = default;
};

// What CPUID shows of the vCPU's state.
struct CpuidInput {
  u32 leaf = 0;
  u32 subleaf = 0;
  bool code64 = true;        // SYSCALL exists in 64-bit mode only
  bool apic_enabled = true;  // IA32_APIC_BASE.EN
  u32 apic_id = 0;
  u32 cpu_count = 1;
};

CpuidResult cpuid(const CpuidInput& in);

}  // namespace rondo
