#include "devices/debug_exit/debug_exit.h"

namespace rondo::devices {

u64 DebugExit::bus_read(u64, unsigned) { return 0; }

// MachineControl derives the status from the code, which is the value as written with the access's width.
void DebugExit::bus_write(u64, unsigned size, u64 value) {
  machine_.request_debug_exit(static_cast<u32>(size >= 4 ? value : value & ((u64{1} << (8 * size)) - 1)));
}

}  // namespace rondo::devices
