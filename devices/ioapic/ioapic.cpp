#include "devices/ioapic/ioapic.h"

namespace rondo::devices {

using namespace ioapic;

IoApic::IoApic(ApicBus& bus, IoApicConfig config) : bus_(bus), config_(config) {
  bus_.attach(*this);
  reset();
}

// The pins belong to others and keep their levels.
void IoApic::reset() {
  entries_.fill(kMasked);
  select_ = 0;
  id_ = config_.id & 0xf;
}

void IoApic::set_input(unsigned input, bool high) {
  if (input >= kPins) return;
  const u32 bit = u32{1} << input;
  const bool rising = high && !(pins_ & bit);
  pins_ = high ? pins_ | bit : pins_ & ~bit;
  const u64 entry = entries_[input];
  if (entry & kLevel) {
    service_level(input);
  } else if (rising && !(entry & kMasked)) {
    send(entry);
  }
}

// A level-triggered pin sends once and then waits for the EOI.
void IoApic::service_level(unsigned pin) {
  u64& entry = entries_[pin];
  if (!(entry & kLevel) || (entry & (kMasked | kRemoteIrr)) || !(pins_ & (u32{1} << pin))) return;
  const DeliveryMode mode = static_cast<DeliveryMode>((entry >> kModeShift) & 7);
  // Only fixed and lowest-priority interrupts end with an EOI; the other modes have no remote IRR (3.2.4).
  if (mode == DeliveryMode::fixed || mode == DeliveryMode::lowest_priority) entry |= kRemoteIrr;
  send(entry);
}

void IoApic::send(u64 entry) {
  bus_.send({.vector = static_cast<u8>(entry & kVectorMask),
             .mode = static_cast<DeliveryMode>((entry >> kModeShift) & 7),
             .logical = (entry & kLogical) != 0,
             .level = (entry & kLevel) != 0,
             .destination = static_cast<u32>(entry >> kDestinationShift)});
}

void IoApic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    u64& entry = entries_[pin];
    if (!(entry & kRemoteIrr) || (entry & kVectorMask) != vector) continue;
    entry &= ~kRemoteIrr;
    service_level(pin);
  }
}

u32 IoApic::read_register() {
  switch (select_) {
    case kId:
    case kArbitration:
      return static_cast<u32>(id_) << kIdShift;
    case kVersion:
      return kVersionValue;
    default:
      break;
  }
  const unsigned index = select_ - kFirstEntry;
  if (select_ < kFirstEntry || index >= 2 * kPins) {
    ++ignored_;
    return 0;
  }
  return static_cast<u32>(index % 2 == 0 ? entries_[index / 2] : entries_[index / 2] >> 32);
}

void IoApic::write_register(u32 value) {
  const unsigned index = select_ - kFirstEntry;
  if (select_ == kId) {
    id_ = static_cast<u8>((value & kIdMask) >> kIdShift);
  } else if (select_ < kFirstEntry || index >= 2 * kPins) {
    ++ignored_;
  } else {
    const u64 old = entries_[index / 2];
    write_entry(index / 2, index % 2 == 0 ? (old & ~u64{0xffffffff}) | value : (old & 0xffffffff) | u64{value} << 32);
  }
}

void IoApic::write_entry(unsigned pin, u64 value) {
  u64& entry = entries_[pin];
  entry = (value & kWritable) | (entry & kRemoteIrr);
  // Making a pin edge-triggered clears its remote IRR: guests use this as an EOI for one pin.
  if (!(entry & kLevel)) entry &= ~kRemoteIrr;
  service_level(pin);
}

u64 IoApic::bus_read(u64 offset, unsigned size) {
  if (size == 4 && offset == kSelect) return select_;
  if (size == 4 && offset == kWindow) return read_register();
  ++ignored_;
  return 0;
}

void IoApic::bus_write(u64 offset, unsigned size, u64 value) {
  if (size == 4 && offset == kSelect) {
    select_ = static_cast<u8>(value);
  } else if (size == 4 && offset == kWindow) {
    write_register(static_cast<u32>(value));
  } else if (size == 4 && offset == kEoi) {
    end_of_interrupt(static_cast<u8>(value));
  } else {
    ++ignored_;
  }
}

void IoApic::save(StateWriter& writer) const {
  writer.section(name(), 1);
  for (const u64 entry : entries_) writer.write_u64(entry);
  writer.write_u32(pins_);
  writer.write_u8(select_);
  writer.write_u8(id_);
}

void IoApic::load(StateReader& reader) {
  reader.section(name(), 1);
  for (u64& entry : entries_) entry = reader.read_u64();
  pins_ = reader.read_u32();
  select_ = reader.read_u8();
  id_ = reader.read_u8();
}

}  // namespace rondo::devices
