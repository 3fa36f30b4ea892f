// Naming a point of an execution by the complete state of its machine, where nothing counts instructions.
//
// Two points with equal complete state are the same point for everything that follows, so the first match in a replay
// is the right one. Devices are left out: they change at events only, and a Moment names the event before it.
#pragma once

#include "core/machine.h"
#include "replay/format/event.h"

namespace rondo::replay {

// registers.high: core/cpu/register_digest.h; registers.low: the whole vCPU; memory: PhysicalMemory::hash().
Fingerprint fingerprint_of(Machine& machine);
// Whether the machine stands there. Looks at memory only if all registers agree.
bool stands_at(Machine& machine, const Moment& moment);
// What an engine can look for by itself.
SearchPoint search_point(const Moment& moment);

}  // namespace rondo::replay
