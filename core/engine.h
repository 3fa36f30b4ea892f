// What executes a vCPU. One interface; engines are interchangeable at any Moment.
#pragma once

#include <string>
#include <vector>

#include "core/base/types.h"
#include "core/cpu/state.h"

namespace rondo {

enum class EngineStop : u8 {
  count_reached,  // the requested count
  attention,      // a device asked for something (an exit, a nearer timer): the machine looks and calls again
  halted,         // HLT, and no interrupt is deliverable
  shutdown,       // triple fault
  interrupted     // Engine::interrupt() was called
};

// An instruction that raised #UD because the model does not have it.
struct UnsupportedInstruction {
  std::string bytes;  // hexadecimal
  u64 rip = 0;        // where it was seen first
  u64 times = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Runs until the Clock's count reaches `stop` or something else ends it first. Exact: never past `stop`. The count is in the Clock.
  virtual EngineStop run(InstrCount stop) = 0;
  // The reference drive: one instruction, freshly decoded (or the delivery of one interrupt). Same results as run().
  virtual EngineStop step() = 0;

  // A complete copy of the vCPU, and its inverse. set_state() also forgets everything derived from memory.
  virtual CpuState state() const = 0;
  virtual void set_state(const CpuState& state) = 0;
  // Memory was changed behind the engine's back (restore, boot loader, debugger).
  virtual void memory_changed() = 0;

  // May be called from any thread or signal handler: makes run() return soon.
  virtual void interrupt() = 0;

  virtual std::vector<UnsupportedInstruction> unsupported() const = 0;
};

}  // namespace rondo
