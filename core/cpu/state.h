// The complete architectural state of one vCPU: what moves between engines, into checkpoints and into the state hash.
#pragma once

#include <array>

#include "core/base/types.h"
#include "core/cpu/registers.h"
#include "core/state/stream.h"

namespace rondo {

// A segment register with its hidden part (SDM 3A 3.4.3). limit is in bytes, already scaled by G.
struct Segment {
  u16 selector = 0;
  u64 base = 0;
  u32 limit = 0xffff;
  u8 type = 3;           // descriptor type field, SDM 3A 3.4.5.1 / 3.5
  bool s = true;         // code or data (true), system (false)
  u8 dpl = 0;
  bool present = true;   // false with a null selector in a data segment register: unusable
  bool avl = false;
  bool l = false;
  bool db = false;
  bool g = false;
};

struct DescriptorTable {
  u64 base = 0;
  u16 limit = 0xffff;
};

// x87 and MMX (SDM 1 chapter 8). Registers are physical R0..R7; ST(i) is R((top + i) & 7); MMi is the significand of Ri.
struct FpuState {
  std::array<u64, 8> significand{};
  std::array<u16, 8> sign_exponent{};
  u16 control = 0x037f;
  u16 status = 0;        // TOP in bits 13:11
  u8 valid = 0;          // bit i: Ri is not empty (the abridged tag word of FXSAVE)
  u16 opcode = 0;        // 11 bits
  u64 instruction_pointer = 0;
  u16 instruction_selector = 0;
  u64 data_pointer = 0;
  u16 data_selector = 0;
};

struct alignas(16) Xmm {
  std::array<u64, 2> lane{};
  bool operator==(const Xmm&) const = default;
};

enum class Activity : u8 { running, halted, shutdown, wait_for_sipi };

struct CpuState {
  std::array<u64, 16> gpr{};
  u64 rip = 0;
  u64 rflags = flags::FIXED1;
  std::array<Segment, 6> segment{};
  Segment ldtr, tr;
  DescriptorTable gdtr, idtr;
  u64 cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0;
  u64 efer = 0;
  std::array<u64, 4> dr{};
  u64 dr6 = dr6::kFixed1, dr7 = dr7::kFixed1;
  FpuState fpu;
  std::array<Xmm, 16> xmm{};
  u32 mxcsr = 0x1f80;
  // MSRs that are vCPU state. APIC_BASE and TSC_DEADLINE live in the local APIC.
  u64 tsc_offset = 0;  // TSC = virtual time + offset; changed by writes to TSC and TSC_ADJUST
  u64 tsc_adjust = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  u64 star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0, tsc_aux = 0;
  u64 pat = 0x0007040600070406;
  u64 misc_enable = 1;
  u64 spec_ctrl = 0;
  u64 mtrr_def_type = 0;
  std::array<u64, 11> mtrr_fixed{};      // 64K, 2 x 16K, 8 x 4K
  std::array<u64, 16> mtrr_variable{};   // base and mask of 8 pairs
  u64 mcg_status = 0;
  // What lies between instructions.
  Activity activity = Activity::running;
  bool sti_shadow = false;      // interrupts stay off for one more instruction (SDM 3A 6.8.1)
  bool mov_ss_shadow = false;   // ... and debug traps too (SDM 3A 6.8.3)
  bool nmi_pending = false;
  bool nmi_blocked = false;     // until IRET
  u64 pending_debug = 0;        // DR6 bits of debug traps held back by the MOV SS shadow

  // The state after RESET (SDM 3A table 9-1): real mode at f000:fff0.
  static CpuState at_reset();
  void save(StateWriter& writer, unsigned cpu_index) const;
  void load(StateReader& reader, unsigned cpu_index);
};

}  // namespace rondo
