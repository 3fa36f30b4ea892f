// The complete state of a Machine at a Moment, in memory: cheap to take, cheap to go back to, and shared by all who
// hold it.
#pragma once

#include <vector>

#include "core/base/types.h"
#include "core/memory/page_map.h"

namespace rondo {

// Immutable once taken; may be read from any thread, and copied cheaply but for `state` (a few KB).
struct MachineSnapshot {
  std::vector<u8>
      state;             // vCPU, clock, devices, and how the run ended if it did: canonical bytes (core/state/stream.h)
  PageMap memory;        // shares with the Machine and with other snapshots what is the same
  u64 memory_bytes = 0;  // size of RAM
  InstrCount count;
  VirtualNs time;
};

}  // namespace rondo
