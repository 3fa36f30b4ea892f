// Architectural constants of the vCPU (SDM 3A chapters 2, 3, 6; SDM 4 for MSRs).
#pragma once

#include "core/base/types.h"

namespace rondo {

inline constexpr unsigned kPhysicalAddressBits = 46;  // MAXPHYADDR of rondo-v1 (CPUID.80000008H:EAX[7:0])

enum Gpr : u8 { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum SegmentName : u8 { ES, CS, SS, DS, FS, GS };

namespace flags {  // RFLAGS, SDM 1 3.4.3
inline constexpr u64 CF = 1 << 0, FIXED1 = 1 << 1, PF = 1 << 2, AF = 1 << 4, ZF = 1 << 6, SF = 1 << 7, TF = 1 << 8, IF = 1 << 9,
                     DF = 1 << 10, OF = 1 << 11, IOPL = 3 << 12, NT = 1 << 14, RF = 1 << 16, VM = 1 << 17, AC = 1 << 18,
                     VIF = 1 << 19, VIP = 1 << 20, ID = 1 << 21;
inline constexpr u64 kArithmetic = CF | PF | AF | ZF | SF | OF;
inline constexpr unsigned kIoplShift = 12;
}  // namespace flags

namespace cr0 {  // SDM 3A 2.5
inline constexpr u64 PE = 1 << 0, MP = 1 << 1, EM = 1 << 2, TS = 1 << 3, ET = 1 << 4, NE = 1 << 5, WP = 1 << 16, AM = 1 << 18,
                     NW = 1 << 29, CD = 1 << 30, PG = u64{1} << 31;
}
namespace cr4 {
inline constexpr u64 VME = 1 << 0, PVI = 1 << 1, TSD = 1 << 2, DE = 1 << 3, PSE = 1 << 4, PAE = 1 << 5, MCE = 1 << 6, PGE = 1 << 7,
                     PCE = 1 << 8, OSFXSR = 1 << 9, OSXMMEXCPT = 1 << 10, UMIP = 1 << 11, FSGSBASE = 1 << 16, PCIDE = 1 << 17,
                     OSXSAVE = 1 << 18, SMEP = 1 << 20, SMAP = 1 << 21;
}
namespace efer {
inline constexpr u64 SCE = 1 << 0, LME = 1 << 8, LMA = 1 << 10, NXE = 1 << 11;
}

namespace dr6 {  // SDM 3B 17.2.3
inline constexpr u64 B0 = 1, BD = 1 << 13, BS = 1 << 14, BT = 1 << 15, kFixed1 = 0xffff0ff0;
}
namespace dr7 {
inline constexpr u64 GD = 1 << 13, kFixed1 = 1 << 10;
}

enum Vector : u8 {  // SDM 3A 6.3.1
  kDE = 0, kDB = 1, kNMI = 2, kBP = 3, kOF = 4, kBR = 5, kUD = 6, kNM = 7, kDF = 8, kTS = 10, kNP = 11, kSS = 12, kGP = 13, kPF = 14,
  kMF = 16, kAC = 17, kMC = 18, kXM = 19
};

namespace pf {  // page-fault error code, SDM 3A 4.7
inline constexpr u32 P = 1, W = 2, U = 4, RSVD = 8, I = 16;
}

namespace msr {  // SDM 4 table 2-2
inline constexpr u32 TSC = 0x10, APIC_BASE = 0x1b, FEATURE_CONTROL = 0x3a, TSC_ADJUST = 0x3b, SPEC_CTRL = 0x48, PRED_CMD = 0x49, BIOS_SIGN_ID = 0x8b,
                     MTRRCAP = 0xfe, ARCH_CAPABILITIES = 0x10a, SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175, SYSENTER_EIP = 0x176, MCG_CAP = 0x179,
                     MCG_STATUS = 0x17a, MISC_ENABLE = 0x1a0, MTRR_PHYSBASE0 = 0x200, MTRR_FIX64K = 0x250, MTRR_FIX16K_80000 = 0x258,
                     MTRR_FIX16K_A0000 = 0x259, MTRR_FIX4K_C0000 = 0x268, PAT = 0x277, MTRR_DEF_TYPE = 0x2ff, TSC_DEADLINE = 0x6e0,
                     X2APIC_FIRST = 0x800, X2APIC_LAST = 0x8ff, EFER = 0xc0000080, STAR = 0xc0000081, LSTAR = 0xc0000082, CSTAR = 0xc0000083,
                     SFMASK = 0xc0000084, FS_BASE = 0xc0000100, GS_BASE = 0xc0000101, KERNEL_GS_BASE = 0xc0000102, TSC_AUX = 0xc0000103;
}

// MSRs whose access is a synchronous event (core/time/clock.h): those of time and of the interrupt controller.
constexpr bool is_event_msr(u32 index) {
  return index == msr::TSC || index == msr::TSC_ADJUST || index == msr::APIC_BASE || index == msr::TSC_DEADLINE ||
         (index >= msr::X2APIC_FIRST && index <= msr::X2APIC_LAST);
}

}  // namespace rondo
