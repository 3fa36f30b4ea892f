// What a vCPU sees of its interrupt controller (the local APIC, with the 8259 behind its LINT0 pin).
#pragma once

#include <optional>

#include "core/base/types.h"

namespace rondo {

// The vCPU's pins, driven by the interrupt controller. Called whenever the answer of InterruptController::intr() may have changed, so
// that the engine leaves its fast path and looks.
class CpuPins {
 public:
  virtual ~CpuPins() = default;
  virtual void interrupt_state_changed() = 0;
  virtual void raise_nmi() = 0;
};

class InterruptController {
 public:
  virtual ~InterruptController() = default;
  virtual bool intr() const = 0;    // a maskable interrupt is deliverable (above the processor priority)
  virtual u8 acknowledge() = 0;     // INTA: the vector; only when intr()
  virtual u8 read_cr8() const = 0;  // TPR[7:4] (SDM 3A 10.8.6)
  virtual void write_cr8(u8 value) = 0;
  // IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC MSRs (0x800..0x8ff). False: the access is #GP(0).
  virtual bool owns_msr(u32 index) const = 0;
  virtual bool read_msr(u32 index, u64& value) = 0;
  virtual bool write_msr(u32 index, u64 value) = 0;
  // The TSC's offset to virtual time (CpuState::tsc_offset) has changed: an armed TSC deadline moves with it.
  virtual void set_tsc_offset(u64 offset) { static_cast<void>(offset); }
};

}  // namespace rondo
