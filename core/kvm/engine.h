// The KVM engine: a vCPU on the host's hardware virtualization behind core/engine.h.
//
// It works with sampled time only (core/time/clock.h): the Clock must have a TimeSource, and the count is that of
// synchronous events. Interrupts are delivered, and what KVM cannot do is done, by a second engine on the same state.
#pragma once

#include <functional>
#include <memory>

#include "core/bus/bus.h"
#include "core/cpu/interrupt_controller.h"
#include "core/engine.h"
#include "core/memory/physical_memory.h"
#include "core/software/engine.h"
#include "core/time/clock.h"

namespace rondo {

// Gets the thread that runs the engine out of a guest that computes without exits.
class Kicker {
 public:
  virtual ~Kicker() = default;
  // The byte to set to 1 when it kicks, which also interrupts the calling thread's system call.
  virtual Status attach(volatile u8* flag) = 0;
  // Once, after the usual time shifted left by `patience`: entering a guest may take longer than a short interval
  // lasts.
  virtual void arm(unsigned patience) = 0;
  virtual void disarm() = 0;
  // Asked at every kick: whether the run is to end. A guest that has no events comes by nowhere else.
  virtual bool wants_out() { return false; }
};

struct KvmEngineConfig {
  PhysicalMemory& memory;
  Clock& clock;
  Bus& ports;
  Bus& mmio;
  InterruptController& interrupts;
  std::function<bool()> exit_requested;
  std::unique_ptr<SoftwareEngine> software;  // built on the same parts; not attached to the interrupt controller
  Kicker& kicker;                            // outlives the engine
  bool exact_windows = false;                // interrupt windows open exactly where they should (rondo doctor)
  bool patched_text = false;                 // core/cpu/patched_text.h
  bool supervisor_in_software = false;       // only CPL 3 on KVM: this one emulates the rest (core/kvm/user_view.h)
  bool host_descriptors = false;             // with supervisor_in_software: only 64-bit code at CPL 3 can do without
  bool host_traps_time_stamps = false;       // with supervisor_in_software: see VcpuHandle::trap_time_stamps()
};

class KvmEngine : public Engine, public CpuPins {
 public:
  struct Statistics {
    u64 exits = 0;
    u64 kicks = 0;
    u64 software_instructions = 0;  // executed by the other engine
    u64 searches = 0;               // for asynchronous Moments, in a replay: the other engine executes
    u64 unemulated = 0;
    u64 user_entries = 0;  // with supervisor_in_software
    u64 renewals = 0;      // KVM forgot what it had derived from page tables
  };
  virtual const Statistics& statistics() const = 0;
};

// Errors: KVM is missing or refuses something; one line with advice.
Result<std::unique_ptr<KvmEngine>> make_kvm_engine(KvmEngineConfig config);

}  // namespace rondo
