// What the guest does with ports and devices, as single accesses in order: each a synchronous event.
#pragma once

#include "core/bus/bus.h"
#include "core/kvm/exits.h"
#include "core/time/clock.h"

namespace rondo::kvm {

// `joined`: this exit came out of the completion of another one, so that nothing could be delivered in between.
void access_port(Clock& clock, Bus& ports, const PortAccess& access, bool joined);
void access_device(Clock& clock, Bus& mmio, const DeviceAccess& access, bool joined);

}  // namespace rondo::kvm
