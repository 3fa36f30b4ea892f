// A Machine: RAM, one vCPU, buses, devices and the virtual clock, and the loop that drives them.
//
// The board (harness/board.h) builds the devices and the engine and attaches them; the machine knows only their
// interfaces.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bus/bus.h"
#include "core/device.h"
#include "core/door.h"
#include "core/engine.h"
#include "core/memory/physical_memory.h"
#include "core/snapshot.h"
#include "core/time/clock.h"

namespace rondo {

enum class ExitReason : u8 {
  power_off,   // ACPI S5
  reset,       // port 0xCF9, i8042, or a triple fault the guest asked for
  debug_exit,  // the test exit port
  halted,      // HLT with nothing that could ever wake it
  triple_fault,
  instruction_limit,
  time_limit,
  stopped,      // by the user
  debug,        // a debugger's point (Engine::debug_stop())
  host_failure  // Engine::failure() says what
};
std::string_view to_string(ExitReason reason);

struct RunResult {
  ExitReason reason = ExitReason::stopped;
  u32 debug_exit_code = 0;  // with debug_exit: (value << 1) | 1, as QEMU's isa-debug-exit
};

struct RunLimits {
  std::optional<InstrCount> instructions;  // stop exactly there
  std::optional<VirtualNs> virtual_time;
  bool single_step = false;  // the reference drive, for tests
  std::optional<u64> steps = {};  // with single_step: stop after this many (ExitReason::instruction_limit)
};

class Machine final : public MachineControl {
 public:
  explicit Machine(std::unique_ptr<PhysicalMemory> memory);

  PhysicalMemory& memory() { return *memory_; }
  Clock& clock() { return clock_; }
  Bus& ports() { return ports_; }
  Bus& mmio() { return mmio_; }
  Engine& engine() { return *engine_; }

  // Assembly, by the board.
  void attach_engine(std::unique_ptr<Engine> engine) { engine_ = std::move(engine); }
  std::unique_ptr<Engine> detach_engine() { return std::move(engine_); }  // to be attached again before anything else
  // Another engine goes on from the state of this one, which is returned.
  std::unique_ptr<Engine> exchange_engine(std::unique_ptr<Engine> engine);
  void add_device(std::unique_ptr<Device> device) { devices_.push_back(std::move(device)); }

  // Runs to an exit or a limit. May be called again after a limit was reached. Without a door nothing enters.
  RunResult run(const RunLimits& limits, Door* door = nullptr);

  void request_power_off() override;
  void request_reset() override;
  void request_debug_exit(u32 code) override;
  // The engine asks after an I/O instruction whether it must return.
  bool exit_requested() const { return exit_.has_value(); }
  // Makes run() return with ExitReason::stopped; safe from signal handlers.
  void stop() {
    if (engine_) engine_->interrupt();
  }

  // The whole machine as bytes: vCPU, clock, devices, memory.
  void save(StateWriter& writer) const;
  Status load(StateReader& reader);
  // The same, sharing pages. Between runs, or from a poll. A snapshot costs the pages written since the last snapshot
  // or restore; a restore costs those and the pages in which the two snapshots differ, and what the engine derived from
  // other pages stays warm.
  MachineSnapshot snapshot();
  // Only for a snapshot of a machine built alike. After an error the machine is in no defined state until a restore or
  // load succeeds.
  Status restore(const MachineSnapshot& snapshot);
  // The vCPU as it goes into the hashes.
  CpuState comparable_state() const;
  // Hash of each component, in a fixed order: "vcpu0", "clock", every device by name, "memory"; and of all together.
  using ComponentHashes = std::vector<std::pair<std::string, std::string>>;
  // Costs the pages written since the last time.
  ComponentHashes component_hashes() const;
  std::string state_hash() const { return state_hash(component_hashes()); }
  static std::string state_hash(const ComponentHashes& components);

 private:
  void save_parts(StateWriter& writer) const;
  void load_parts(StateReader& reader, CpuState& cpu, std::optional<RunResult>& exit);

  std::unique_ptr<PhysicalMemory> memory_;
  Clock clock_;
  Bus ports_;
  Bus mmio_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::optional<RunResult> exit_;
};

}  // namespace rondo
