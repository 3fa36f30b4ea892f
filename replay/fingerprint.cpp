#include "replay/fingerprint.h"

#include "core/cpu/register_digest.h"
#include "core/state/hash.h"
#include "core/state/stream.h"

namespace rondo::replay {
namespace {

Hash128 registers_of(const CpuState& cpu) {
  StateWriter writer;
  cpu.save(writer, 0);
  const Hash128 all = Hash128::from_hex(hash_hex(writer.bytes())).value();
  return {register_digest(cpu.rip, cpu.gpr.data()), all.low};
}

Hash128 memory_of(Machine& machine) { return Hash128::from_hex(machine.memory().hash()).value(); }

}  // namespace

Fingerprint fingerprint_of(Machine& machine) { return {registers_of(machine.comparable_state()), memory_of(machine)}; }

bool stands_at(Machine& machine, const Moment& moment) {
  const CpuState cpu = machine.comparable_state();
  return cpu.rip == moment.rip && cpu.gpr[RCX] == moment.rcx && registers_of(cpu) == moment.fingerprint->registers &&
         memory_of(machine) == moment.fingerprint->memory;
}

SearchPoint search_point(const Moment& moment) { return {moment.rip, moment.rcx, moment.fingerprint->registers.high}; }

}  // namespace rondo::replay
