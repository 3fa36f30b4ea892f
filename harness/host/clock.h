// Host time and host resource use: for limits, pacing and reports. Nothing of it reaches a guest but through an Event.
#pragma once

#include "core/base/types.h"

namespace rondo::host {

using HostNs = Quantity<struct HostNsTag>;  // nanoseconds of the host's monotonic clock

HostNs monotonic_now();
// The time of day: seconds since 1970, UTC.
i64 unix_seconds();
// The process's peak resident memory in bytes.
u64 peak_memory_bytes();
// How many processors it may use. Shows in how long something takes, and in nothing else.
unsigned processors();

}  // namespace rondo::host
