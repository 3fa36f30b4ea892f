// QEMU's isa-debug-exit (hw/misc/debugexit.c documents the behaviour): four bytes, all the same.
#pragma once

#include "core/base/types.h"

namespace rondo::devices::debug_exit {

inline constexpr u64 kPorts = 4;

}  // namespace rondo::devices::debug_exit
