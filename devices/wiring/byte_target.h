// Bus targets of 8-bit devices. A wider access becomes byte accesses in ascending order, as the ISA bus does it.
#pragma once

#include "core/bus/bus.h"

namespace rondo::devices {

class ByteTarget : public BusTarget {
 public:
  u64 bus_read(u64 offset, unsigned size) final {
    u64 value = 0;
    for (unsigned i = 0; i < size && i < 8; ++i) value |= static_cast<u64>(read_byte(offset + i)) << (8 * i);
    return value;
  }
  void bus_write(u64 offset, unsigned size, u64 value) final {
    for (unsigned i = 0; i < size && i < 8; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
  }

 protected:
  // Any offset may come; those that the device does not have are counted by it and ignored.
  virtual u8 read_byte(u64 offset) = 0;
  virtual void write_byte(u64 offset, u8 value) = 0;
};

// One of several byte-wide regions of a device: forwards to two of its member functions.
template <class Owner>
class ByteWindow final : public ByteTarget {
 public:
  using Read = u8 (Owner::*)(u64 offset);
  using Write = void (Owner::*)(u64 offset, u8 value);
  ByteWindow(Owner& owner, Read read, Write write) : owner_(owner), read_(read), write_(write) {}

 protected:
  u8 read_byte(u64 offset) override { return (owner_.*read_)(offset); }
  void write_byte(u64 offset, u8 value) override { (owner_.*write_)(offset, value); }

 private:
  Owner& owner_;
  Read read_;
  Write write_;
};

}  // namespace rondo::devices
