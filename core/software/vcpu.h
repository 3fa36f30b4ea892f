// The software engine's vCPU: hot state first. CpuState (core/cpu/state.h) is the same thing for everybody else.
#pragma once

#include <array>
#include <cstring>

#include "core/bus/bus.h"
#include "core/cpu/fault.h"
#include "core/cpu/host_cpuid.h"
#include "core/cpu/interrupt_controller.h"
#include "core/cpu/lazy_flags.h"
#include "core/cpu/state.h"
#include "core/debug_points.h"
#include "core/memory/physical_memory.h"
#include "core/software/op.h"
#include "core/software/tlb.h"
#include "core/time/clock.h"

namespace rondo::software {

class Mmu;
class CodeCache;
class DebugIndex;
struct JumpEntry;
struct Link;
class UnsupportedLog;

// Why execution left a block.
enum class Leave : u8 {
  budget,     // the next block does not fit before the stop count
  lookup,     // continue at Vcpu::rip, through the block cache
  attention,  // continue at Vcpu::rip, but look at interrupts, exits and modes first
  unfinished, // a REP is to be entered again at Vcpu::rip: as attention
  breakpoint, // before the instruction at Vcpu::rip
  fault       // deliver Vcpu::fault at Vcpu::rip
};

// Where a RET is expected to go: the address after a CALL, and the link to the block there (block.h), which is the CALL's second. A guess, checked by RET.
struct ExpectedReturn {
  u64 rip = u64{1} << 63;  // not canonical: no RET goes there
  Link* link = nullptr;
};
inline constexpr unsigned kExpectedReturns = 16;

// A link that the running block wanted to follow when nobody knew the block at `rip`. Whoever finds it fills the link, if the epoch is still the same.
struct WantedLink {
  Link* link = nullptr;
  u64 rip = 0;
  u64 epoch = 0;
  bool same_page = false;
};

struct Vcpu {
  // General registers, RIP of the current block, zero, segment bases: everything an effective address is made of. While a block runs,
  // the instruction pointer is slots[kSlotRip] + Op::next_offset; between blocks `rip` is the truth.
  alignas(64) std::array<u64, kSlotCount> slots{};
  LazyFlags lazy;
  i64 remaining = 0;        // instructions until the stop count, the current block already subtracted
  u64 tlb_context = 0;      // low 12 bits of the tags that match now
  u64 code_epoch = 0;       // names the current mapping of code; links across pages hold only while it stands
  u64 code_generation = 0;  // changes when decoded code is dropped; links within a page hold only while it stands
  Tlb* tlb = nullptr;
  JumpEntry* jump_cache = nullptr;  // kJumpCacheSize entries (block.h)

  unsigned newest_return = 0;                                    // index of the last CALL's, modulo kExpectedReturns
  std::array<ExpectedReturn, kExpectedReturns> expected_returns;  // a ring; an older CALL is forgotten
  WantedLink wanted;

  u64 rip = 0;              // valid between blocks and in cold bodies (there: the current instruction)
  u64 next_rip = 0;         // valid in cold bodies: where execution goes on; a body may change it
  Leave leave = Leave::attention;
  bool attention = false;   // set by anything that wants the driver to look before the next instruction
  bool rep_unfinished = false;  // set by a REP body that must be re-entered: RIP and count do not advance
  bool no_single_step = false;  // set by INT n and SYSCALL: TF as it was before them causes no trap after them
  u8 cpl = 0;
  u8 stop_cpl = 0xff;       // the driver looks when this level is reached
  u64 rip_mask = ~u64{0};   // 32-bit wrap of EIP outside 64-bit mode
  Fault fault;              // with Leave::fault
  alignas(16) std::array<u8, 16> wide_operand{};  // a vector operand that came by the slow path (ops/simd.h); no state

  // RFLAGS without the arithmetic bits, which are in `lazy`. DF lives here too.
  u64 rflags_rest = flags::FIXED1;

  // The rest of the architectural state, in one place. Not current while running: gpr, rip, rflags (see above), cr8 (in the APIC).
  CpuState arch;

  u64 stop_count = 0;       // the count at which `remaining` reaches zero
  PhysicalMemory* memory = nullptr;
  Clock* clock = nullptr;
  Bus* ports = nullptr;
  Bus* mmio = nullptr;
  InterruptController* apic = nullptr;
  Mmu* mmu = nullptr;
  CodeCache* code = nullptr;
  DebugIndex* debug = nullptr;
  const HostCpuid* host_cpuid = nullptr;
  // The last delivery of an event: at which count, and how many there were at that count.
  Position delivered;
  // No breakpoint stops here.
  Position passed{InstrCount{~u64{0}}};
  u64 passed_rip = 0;
  // No search stops here again.
  Position searched{InstrCount{~u64{0}}};
  bool patched_text = false;  // core/cpu/patched_text.h
  u64 flushes = 0;  // how often the guest flushed a TLB, which this engine does not need
  UnsupportedLog* unsupported_log = nullptr;

  template <class T>
  T reg(SlotOffset offset) const {
    T v;
    std::memcpy(&v, reinterpret_cast<const u8*>(slots.data()) + offset, sizeof v);
    return v;
  }
  // A 32-bit result clears the upper half; 8- and 16-bit results leave the rest (SDM 1 3.4.1.1).
  template <class T>
  void set_reg(SlotOffset offset, T v) {
    if constexpr (sizeof(T) == 4) {
      const u64 wide = v;
      std::memcpy(reinterpret_cast<u8*>(slots.data()) + offset, &wide, sizeof wide);
    } else {
      std::memcpy(reinterpret_cast<u8*>(slots.data()) + offset, &v, sizeof v);
    }
  }
  // The blocks that they point into are gone.
  void forget_links() {
    expected_returns.fill({});
    wanted.link = nullptr;
  }

  u64& gpr(unsigned n) { return slots[n]; }
  u64 gpr(unsigned n) const { return slots[n]; }

  u64 rflags() const { return rflags_rest | lazy.to_rflags(); }
  void set_rflags(u64 value) {
    lazy = LazyFlags::from_rflags(value);
    rflags_rest = (value & ~flags::kArithmetic) | flags::FIXED1;
  }

  bool long_mode() const { return arch.efer & efer::LMA; }                  // IA-32e mode active
  bool code64() const { return long_mode() && arch.segment[CS].l; }         // 64-bit code
  bool protected_mode() const { return arch.cr0 & cr0::PE; }
  bool v8086() const { return rflags_rest & flags::VM; }
  bool real_mode() const { return !protected_mode(); }
  unsigned stack_bytes() const { return code64() ? 8 : arch.segment[SS].db ? 4 : 2; }
  unsigned iopl() const { return (rflags_rest & flags::IOPL) >> flags::kIoplShift; }

  // Retired instructions before *op, which belongs to the running block.
  u64 count_before(const Op* op) const { return stop_count - static_cast<u64>(remaining) - op->left; }
  Position position(u64 count) const {
    return {InstrCount{count}, delivered.count.value == count ? delivered.deliveries : 0};
  }
  // Brings the Clock to the Moment of *op.
  void sync_clock(const Op* op) { clock->set_count(InstrCount{count_before(op)}); }
  // The same for a synchronous event (core/time/clock.h): before any device or time-stamp is touched.
  void begin_event(const Op* op) { clock->begin_event(InstrCount{count_before(op)}); }
  u64 tsc() const { return clock->now().value + arch.tsc_offset; }
};

}  // namespace rondo::software
