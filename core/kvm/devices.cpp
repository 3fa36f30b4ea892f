#include "core/kvm/devices.h"

#include <cstring>

#include "core/bus/device_parts.h"

namespace rondo::kvm {
namespace {

// One access of a device, between memory of KVM's and the bus.
void transfer(Bus& bus, u64 address, unsigned size, bool read, u8* data) {
  u64 value = 0;
  if (read) {
    value = bus.read(address, size);
    std::memcpy(data, &value, size);
  } else {
    std::memcpy(&value, data, size);
    bus.write(address, size, value);
  }
}

}  // namespace

void access_port(Clock& clock, Bus& ports, const PortAccess& access, bool joined) {
  for (u32 i = 0; i < access.count; ++i) {
    clock.begin_event(clock.count(), joined || i != 0);
    transfer(ports, access.port, access.size, access.in, access.data + std::size_t{i} * access.size);
  }
}

void access_device(Clock& clock, Bus& mmio, const DeviceAccess& access, bool joined) {
  for_each_device_part(access.address.value, access.size, [&](u64 address, unsigned at, unsigned size) {
    clock.begin_event(clock.count(), joined || at != 0);
    transfer(mmio, address, size, !access.write, access.data + at);
  });
}

}  // namespace rondo::kvm
