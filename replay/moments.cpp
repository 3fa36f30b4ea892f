#include "replay/moments.h"

#include "core/base/assert.h"
#include "replay/fingerprint.h"

namespace rondo::replay {

Moment moment_of(Machine& machine) {
  const CpuState cpu = machine.engine().state();
  Moment moment;
  moment.count = machine.clock().count();
  moment.time = machine.clock().now();
  moment.rip = cpu.rip;
  moment.rcx = cpu.gpr[RCX];
  if (machine.clock().counts_events()) {
    moment.synchronous = moment.count.value;
    moment.fingerprint = fingerprint_of(machine);
  }
  return moment;
}

StateHash state_hash_of(Machine& machine) {
  const Machine::ComponentHashes components = machine.component_hashes();
  StateHash hash;
  for (const auto& [name, hex] : components) hash.components.push_back({name, Hash128::from_hex(hex).value()});
  hash.total = Hash128::from_hex(Machine::state_hash(components)).value();
  return hash;
}

EventBody to_event(const Input& input) {
  switch (input.kind) {
    case InputKind::console:
      return ConsoleInput{input.port, input.bytes};
    case InputKind::console_break:
      return ConsoleBreak{input.port};
    case InputKind::wake:
      return IdleWake{input.time};
    case InputKind::power_button:
      return PowerButton{};
    case InputKind::reset_button:
      return ResetButton{};
  }
  RONDO_ASSERT(false);
  return {};
}

std::optional<Input> to_input(const EventBody& body) {
  if (const auto* console = std::get_if<ConsoleInput>(&body))
    return Input{.kind = InputKind::console, .port = console->port, .bytes = console->bytes};
  if (const auto* line_break = std::get_if<ConsoleBreak>(&body))
    return Input{.kind = InputKind::console_break, .port = line_break->port};
  if (const auto* wake = std::get_if<IdleWake>(&body)) return Input{.kind = InputKind::wake, .time = wake->woke_at};
  if (std::holds_alternative<PowerButton>(body)) return Input{.kind = InputKind::power_button};
  if (std::holds_alternative<ResetButton>(body)) return Input{.kind = InputKind::reset_button};
  return std::nullopt;
}

bool is_own_end(std::string_view reason) {
  for (const ExitReason own :
       {ExitReason::power_off, ExitReason::reset, ExitReason::debug_exit, ExitReason::triple_fault}) {
    if (reason == to_string(own)) return true;
  }
  return false;
}

}  // namespace rondo::replay
