// What executes a vCPU. One interface; engines are interchangeable at any Moment.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "core/cpu/state.h"
#include "core/debug_points.h"
#include "core/memory/physical_memory.h"

namespace rondo {

enum class EngineStop : u8 {
  count_reached,  // the requested count
  attention,      // a device asked for something (an exit, a nearer timer): the machine looks and calls again
  halted,         // HLT, and no interrupt is deliverable
  shutdown,       // triple fault
  interrupted,    // Engine::interrupt() was called
  debug,          // a debugger's point: Engine::debug_stop() says which
  user,           // CPL 3 is reached (SoftwareEngine::run_slice())
  candidate,      // the registers are those of set_search()
  failed          // the host failed: failure() says how, and the vCPU cannot go on
};

// An instruction that raised #UD because the model does not have it.
struct UnsupportedInstruction {
  std::string bytes;  // hexadecimal
  u64 rip = 0;        // where it was seen first
  u64 times = 0;
};

// Registers at which an asynchronous Moment was taken (replay/player.h).
struct SearchPoint {
  u64 rip = 0;
  u64 rcx = 0;
  u64 digest = 0;  // core/cpu/register_digest.h
  bool operator==(const SearchPoint&) const = default;
};

// As a MemoryWriter an engine attaches itself to the memory that it works on.
class Engine : public MemoryWriter {
 public:
  // Runs until the Clock's count reaches `stop` or something else ends it first. Exact: never past `stop`. The count is in the Clock.
  virtual EngineStop run(InstrCount stop) = 0;
  // The reference drive: one instruction, freshly decoded (or the delivery of one interrupt). Same results as run().
  virtual EngineStop step() = 0;

  // A complete copy of the vCPU, and its inverse. What was derived from memory stays.
  virtual CpuState state() const = 0;
  virtual void set_state(const CpuState& state) = 0;
  // Memory was changed behind the engine's back (boot loader): everything derived from it is void.
  virtual void memory_changed() = 0;
  // These pages (PhysicalMemory::page_index) were changed behind the engine's back: what was derived from them is void, and only that.
  virtual void pages_changed(std::span<const u64> pages) = 0;

  // May be called from any thread or signal handler: makes run() return soon.
  virtual void interrupt() = 0;

  // A debugger's points, honoured by both drives. Between runs.
  virtual void set_debug_points(DebugPoints points) = 0;
  // After EngineStop::debug.
  virtual const DebugStop& debug_stop() const = 0;
  // The next run does not stop at a breakpoint on the instruction at which the vCPU stands now.
  virtual void pass_breakpoint() = 0;
  // Deliveries since the count was reached or the state set (Position::deliveries).
  virtual u64 deliveries() const = 0;

  // Stops, with EngineStop::candidate, whenever the vCPU is about to execute an instruction (or the rest of a REP) with
  // these registers; once at each such point. Only in 64-bit mode, or where the base of CS is 0. Between runs.
  virtual void set_search(const std::optional<SearchPoint>& point) = 0;

  virtual std::vector<UnsupportedInstruction> unsupported() const = 0;
  // After EngineStop::failed: one line. The software engine never fails.
  virtual std::string failure() const { return {}; }
};

}  // namespace rondo
