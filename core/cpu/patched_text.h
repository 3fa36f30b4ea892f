// What may stand in a kernel's text in place of instructions that stock KVM cannot make exit (docs/kvm.md): the immediate
// form of OUT, which has their length and exits everywhere. On a machine whose text was patched
//
//     OUT kTimeStampPort, AL   (E6 ib)     does what RDTSC does    (0F 31)
//     OUT kTimeStampPort, AX   (66 E7 ib)  does what RDTSCP does   (0F 01 F9)
//
// at one synchronous event, and nothing is written anywhere. Flags are untouched, as by RDTSC. All other accesses to
// the port are those of any machine: nobody answers.
//
// The port: between the second DMA controller (C0-DF) and the FPU (F0-FF) a PC has nothing at E0-EF but debugging aids
// (E9, ED), Linux claims nothing there, and our board has nothing there.
#pragma once

#include "core/base/types.h"

namespace rondo {

inline constexpr u8 kTimeStampPort = 0xe4;

}  // namespace rondo
