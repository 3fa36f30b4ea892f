// The software engine: assembly of the pieces in this folder behind core/engine.h.
#pragma once

#include <functional>
#include <memory>

#include "core/bus/bus.h"
#include "core/cpu/host_cpuid.h"
#include "core/cpu/interrupt_controller.h"
#include "core/engine.h"
#include "core/memory/physical_memory.h"
#include "core/time/clock.h"

namespace rondo {

struct SoftwareEngineConfig {
  PhysicalMemory& memory;
  Clock& clock;
  Bus& ports;
  Bus& mmio;
  InterruptController& interrupts;
  std::function<bool()> exit_requested;  // a device asked the machine to end; asked after every instruction that touched one
  bool patched_text = false;             // core/cpu/patched_text.h
  const HostCpuid* host_cpuid = nullptr;  // at CPL 3, where the model does not show; outlives the engine
};

class SoftwareEngine : public Engine, public CpuPins {
 public:
  virtual u64 code_cache_bytes() const = 0;  // a diagnostic

  // For an engine that leaves some code to this one. As run(), with sampled time: also stops after at most this many
  // instructions (with EngineStop::count_reached), and, if asked to, before the first instruction at CPL 3 (with
  // EngineStop::user).
  virtual EngineStop run_slice(InstrCount stop, u64 instructions, bool ends_at_user) = 0;
  // How often the guest has flushed a TLB: what another engine has derived from page tables may then be void.
  virtual u64 flushes() const = 0;
  // Instructions executed so far, with sampled time.
  virtual u64 retired() const = 0;
};

std::unique_ptr<SoftwareEngine> make_software_engine(SoftwareEngineConfig config);

}  // namespace rondo
