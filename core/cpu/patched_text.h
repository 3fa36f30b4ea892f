// What may stand in a kernel's text in place of instructions that KVM does not make exit (docs/kvm.md): the immediate
// form of OUT, which has their length and exits everywhere. On a machine whose text was patched
//
//     OUT kTimeStampPort, AL   (E6 ib)     does what RDTSC does    (0F 31)
//     OUT kTimeStampPort, AX   (66 E7 ib)  does what RDTSCP does   (0F 01 F9)
//     OUT kCpuidPort, AL       (E6 ib)     does what CPUID does    (0F A2), as the CPU model has it at any level
//
// at one synchronous event, and nothing is written anywhere. Flags stay as they are. All other accesses to these ports
// are those of any machine: nobody answers.
//
// The ports: between the second DMA controller (C0-DF) and the FPU (F0-FF) a PC has nothing at E0-EF but debugging aids
// (E9, ED), Linux claims nothing there, and our board has nothing there.
#pragma once

#include "core/base/types.h"

namespace rondo {

inline constexpr u8 kTimeStampPort = 0xe4;
inline constexpr u8 kCpuidPort = 0xe5;

}  // namespace rondo
