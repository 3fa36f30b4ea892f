#include "devices/pci_config/pci_config.h"

namespace rondo::devices {

using namespace pci;

namespace {

// The host bridge's configuration space; everything else is zero.
constexpr std::array<u8, kConfigBytes> bridge_space() {
  std::array<u8, kConfigBytes> bytes{};
  bytes[kVendor] = kBridgeVendor & 0xff;
  bytes[kVendor + 1] = kBridgeVendor >> 8;
  bytes[kDevice] = kBridgeDevice & 0xff;
  bytes[kDevice + 1] = kBridgeDevice >> 8;
  bytes[kCommand] = 0x06;  // answers memory accesses and masters the bus, always
  bytes[kSubclass] = kSubclassHost;
  bytes[kClass] = kClassBridge;
  bytes[kSubsystemVendor] = kBridgeVendor & 0xff;
  bytes[kSubsystemVendor + 1] = kBridgeVendor >> 8;
  return bytes;
}
constexpr std::array<u8, kConfigBytes> kBridgeSpace = bridge_space();

u64 all_ones(unsigned size) { return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1; }

// CONFIG_DATA answers what lies within its four bytes.
bool is_data(u64 offset, unsigned size) {
  return offset >= kDataPort && offset + size <= kDataPort + 4 && (size == 1 || size == 2 || size == 4) &&
         offset % size == 0;
}

}  // namespace

u32 PciHostBridge::config_read(u8 offset, unsigned size) {
  u32 value = 0;
  for (unsigned i = 0; i < size && offset + i < kConfigBytes; ++i)
    value |= static_cast<u32>(kBridgeSpace[offset + i]) << (8 * i);
  return value;
}

PciConfig::PciConfig(BusTarget& reset_control) : reset_control_(reset_control) { attach(0, 0, bridge_); }

// CONFIG_ADDRESS: enable, bus 23:16, device 15:11, function 10:8, register 7:2.
PciFunction* PciConfig::selected() const {
  if (!(address_ & kEnable) || ((address_ >> 16) & 0xff) != 0) return nullptr;
  return functions_[(address_ >> 11) & 0x1f][(address_ >> 8) & 7];
}

u64 PciConfig::bus_read(u64 offset, unsigned size) {
  if (offset == kAddressPort && size == 4) return address_;
  if (offset == kResetPort && size == 1) return reset_control_.bus_read(0, 1);
  if (is_data(offset, size)) {
    PciFunction* function = selected();
    return function != nullptr ? function->config_read(static_cast<u8>((address_ & 0xfc) + (offset - kDataPort)), size)
                               : all_ones(size);
  }
  ++ignored_;
  return all_ones(size);
}

void PciConfig::bus_write(u64 offset, unsigned size, u64 value) {
  if (offset == kAddressPort && size == 4) {
    address_ = static_cast<u32>(value) & kAddressWritable;
  } else if (offset == kResetPort && size == 1) {
    reset_control_.bus_write(0, 1, value);
  } else if (is_data(offset, size)) {
    if (PciFunction* function = selected()) {
      function->config_write(static_cast<u8>((address_ & 0xfc) + (offset - kDataPort)), size, static_cast<u32>(value));
    }
  } else {
    ++ignored_;
  }
}

void PciConfig::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_u32(address_);
}

void PciConfig::load(StateReader& reader) {
  reader.section(name(), 1);
  address_ = reader.read_u32() & kAddressWritable;
}

}  // namespace rondo::devices
