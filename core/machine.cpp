#include "core/machine.h"

#include <algorithm>

#include "core/state/hash.h"

namespace rondo {
namespace {

// A vCPU halted with interrupts off can be woken by an NMI only. A periodic timer that ticks this often without doing
// so is not its source.
constexpr u64 kSkipsBeforeGivingUp = 100'000;
constexpr u64 kLongestSlice = u64{1} << 40;  // so that engines can count down in 64-bit signed numbers

template <class Component>
std::string hash_of(const Component& component) {
  StateWriter writer;
  component.save(writer);
  return hash_hex(writer.bytes());
}

std::string hash_of(const CpuState& cpu) {
  StateWriter writer;
  cpu.save(writer, 0);
  return hash_hex(writer.bytes());
}

}  // namespace

std::string_view to_string(ExitReason reason) {
  switch (reason) {
    case ExitReason::power_off:
      return "power_off";
    case ExitReason::reset:
      return "reset";
    case ExitReason::debug_exit:
      return "debug_exit";
    case ExitReason::halted:
      return "halted";
    case ExitReason::triple_fault:
      return "triple_fault";
    case ExitReason::instruction_limit:
      return "instruction_limit";
    case ExitReason::time_limit:
      return "time_limit";
    case ExitReason::stopped:
      return "stopped";
    case ExitReason::debug:
      return "debug";
    case ExitReason::host_failure:
      return "host_failure";
  }
  return "unknown";
}

Machine::Machine(std::unique_ptr<PhysicalMemory> memory) : memory_(std::move(memory)) {}

std::unique_ptr<Engine> Machine::exchange_engine(std::unique_ptr<Engine> engine) {
  engine->set_state(engine_->state());
  engine->memory_changed();
  engine_.swap(engine);
  return engine;
}

RunResult Machine::run(const RunLimits& limits, Door* door) {
  RONDO_ASSERT(engine_);
  std::optional<InstrCount> next_visit;
  if (door) next_visit = door->next_visit(clock_.count());
  bool idle_visited = false;
  u64 skips = 0;  // since an instruction was executed
  u64 steps = 0;
  if (clock_.sampled()) clock_.set_alarm(limits.virtual_time);

  while (true) {
    if (!clock_.in_joined_events()) clock_.fire_due();
    if (exit_) return *exit_;
    if (limits.instructions && clock_.count() >= *limits.instructions) return {ExitReason::instruction_limit};
    if (limits.steps && steps >= *limits.steps) return {ExitReason::instruction_limit};
    if (limits.virtual_time && clock_.now() >= *limits.virtual_time) return {ExitReason::time_limit};
    if (next_visit && clock_.count() >= *next_visit) {
      if (!door->visit(std::nullopt)) return {ExitReason::stopped};
      next_visit = door->next_visit(clock_.count());
      continue;  // what entered may have armed timers or asked for an exit
    }

    InstrCount stop = clock_.count() + kLongestSlice;
    if (next_visit) stop = std::min(stop, *next_visit);
    if (limits.instructions) stop = std::min(stop, *limits.instructions);
    if (const auto due = clock_.next_due_count()) stop = std::min(stop, *due);
    if (limits.virtual_time && clock_.counts_events()) {
      stop = std::min(stop, clock_.count() + 1);  // any event may be the one that reaches it
    } else if (limits.virtual_time && !clock_.sampled()) {
      const u64 wait = *limits.virtual_time - clock_.now();
      stop = std::min(
          stop, clock_.count() + std::min((wait + kNsPerInstruction - 1) / kNsPerInstruction, ~clock_.count().value));
    }

    const InstrCount before = clock_.count();
    const EngineStop why = limits.single_step ? engine_->step() : engine_->run(stop);
    if (clock_.count() != before) skips = 0, idle_visited = false;
    switch (why) {
      case EngineStop::count_reached:
        ++steps;
        break;
      case EngineStop::attention:
        if (door && clock_.counts_events() && !door->visit_search()) return {ExitReason::stopped};
        if (door && clock_.is_waited_for()) {
          const auto visit = door->next_visit(clock_.count());
          next_visit = next_visit && visit ? std::min(*next_visit, *visit) : visit;
        }
        break;
      case EngineStop::user:
        break;
      case EngineStop::debug:
        clock_.fire_due();  // a Moment is the same however it is reached
        return {ExitReason::debug};
      case EngineStop::candidate:
        if (!door) break;
        if (!door->visit_candidate()) return {ExitReason::stopped};
        next_visit = door->next_visit(clock_.count());
        break;
      case EngineStop::interrupted:
        return exit_.value_or(RunResult{ExitReason::stopped});
      case EngineStop::failed:
        return {ExitReason::host_failure};
      case EngineStop::shutdown:
        if (exit_) return *exit_;
        // An IDT with no room for a single gate is how a guest asks for a reset by triple fault.
        return {engine_->state().idtr.limit == 0 ? ExitReason::reset : ExitReason::triple_fault};
      case EngineStop::halted: {
        if (exit_) return *exit_;
        const auto due = clock_.next_due();
        if (door && !idle_visited) {
          idle_visited = true;
          if (!door->visit(due.value_or(kNever))) return {ExitReason::stopped};
          next_visit = door->next_visit(clock_.count());
          break;  // input may have woken the vCPU
        }
        idle_visited = false;
        if (!due) return {ExitReason::halted};
        if (++skips >= kSkipsBeforeGivingUp && !(engine_->state().rflags & flags::IF)) return {ExitReason::halted};
        clock_.skip_to(limits.virtual_time ? std::min(*due, *limits.virtual_time) : *due);
        if (door) next_visit = door->next_visit(clock_.count());
        break;
      }
    }
  }
}

// The first request stands: what a device asks for after it happens after the end.
void Machine::request_power_off() {
  if (!exit_) exit_ = RunResult{ExitReason::power_off};
}

void Machine::request_reset() {
  if (!exit_) exit_ = RunResult{ExitReason::reset};
}

void Machine::request_debug_exit(u32 code) {
  if (!exit_) exit_ = RunResult{ExitReason::debug_exit, code << 1 | 1};
}

// All but memory.
void Machine::save_parts(StateWriter& writer) const {
  engine_->state().save(writer, 0);
  clock_.save(writer);
  for (const auto& device : devices_) device->save(writer);
  writer.section("end", 1);
  writer.write_bool(exit_.has_value());
  writer.write_u8(exit_ ? static_cast<u8>(exit_->reason) : 0);
  writer.write_u32(exit_ ? exit_->debug_exit_code : 0);
}

void Machine::load_parts(StateReader& reader, CpuState& cpu, std::optional<RunResult>& exit) {
  cpu.load(reader, 0);
  clock_.load(reader);
  for (const auto& device : devices_) device->load(reader);
  reader.section("end", 1);
  const bool ended = reader.read_bool();
  const u8 reason = reader.read_u8();
  const u32 code = reader.read_u32();
  if (reason > static_cast<u8>(ExitReason::debug_exit))
    reader.fail("saved state: unknown reason for the end of the run");
  if (ended) exit = RunResult{static_cast<ExitReason>(reason), code};
}

void Machine::save(StateWriter& writer) const {
  save_parts(writer);
  memory_->save(writer);
}

Status Machine::load(StateReader& reader) {
  CpuState cpu;
  std::optional<RunResult> exit;
  load_parts(reader, cpu, exit);
  memory_->load(reader);
  if (reader.ok() && reader.remaining() != 0) reader.fail("saved state: goes on after its end");
  if (!reader.ok()) return reader.status();
  exit_ = exit;
  engine_->set_state(cpu);
  engine_->memory_changed();
  return success();
}

MachineSnapshot Machine::snapshot() {
  StateWriter writer;
  save_parts(writer);
  return {writer.take(), memory_->capture(), memory_->size(), clock_.count(), clock_.now()};
}

Status Machine::restore(const MachineSnapshot& snapshot) {
  if (snapshot.memory_bytes != memory_->size()) {
    return Error{"the snapshot is of a machine with " + std::to_string(snapshot.memory_bytes) +
                 " bytes of memory, this one has " + std::to_string(memory_->size())};
  }
  StateReader reader(snapshot.state);
  CpuState cpu;
  std::optional<RunResult> exit;
  load_parts(reader, cpu, exit);
  if (reader.ok() && reader.remaining() != 0) reader.fail("saved state: goes on after its end");
  if (!reader.ok()) return reader.status();
  const Result<std::vector<u64>> changed = memory_->restore(snapshot.memory);
  if (!changed) return changed.error();
  exit_ = exit;
  engine_->pages_changed(*changed);
  engine_->set_state(cpu);
  return success();
}

// Where the vCPU may run on hardware, without what a processor may drop at any switch of its host: the x87's pointers
// to its last instruction (AMD APM 2 11.4.3).
CpuState Machine::comparable_state() const {
  CpuState cpu = engine_->state();
  if (clock_.sampled()) {
    cpu.fpu.opcode = cpu.fpu.instruction_selector = cpu.fpu.data_selector = 0;
    cpu.fpu.instruction_pointer = cpu.fpu.data_pointer = 0;
  }
  return cpu;
}

Machine::ComponentHashes Machine::component_hashes() const {
  ComponentHashes hashes;
  hashes.emplace_back("vcpu0", hash_of(comparable_state()));
  hashes.emplace_back("clock", hash_of(clock_));
  for (const auto& device : devices_) hashes.emplace_back(device->name(), hash_of(*device));
  hashes.emplace_back("memory", memory_->hash());
  return hashes;
}

std::string Machine::state_hash(const ComponentHashes& components) {
  Hasher hasher;
  for (const auto& [name, hash] : components) {
    const std::string line = name + "=" + hash + "\n";
    hasher.add({reinterpret_cast<const u8*>(line.data()), line.size()});
  }
  return hasher.hex();
}

}  // namespace rondo
