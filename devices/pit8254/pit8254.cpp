#include "devices/pit8254/pit8254.h"

#include "devices/wiring/ticks.h"

namespace rondo::devices {

using namespace pit;

Pit8254::Pit8254(Clock& clock, InterruptLine& irq0) : clock_(clock), irq0_(irq0) {
  timer_ = clock_.add_timer("pit8254 counter 0", [this] {
    irq0_.set_level(false);
    irq0_.set_level(true);
    schedule();
  });
  reset();
}

void Pit8254::reset() {
  for (PitChannel& channel : channels_) channel.reset();
  port_b_ = 0;
  channels_[2].set_gate(false, tick());
  update_irq();
}

u64 Pit8254::tick() const { return ticks_at(clock_.now().value, kHz); }

// After a guest's write: the line follows OUT, and the next edge may have moved.
void Pit8254::update_irq() {
  irq0_.set_level(channels_[0].output(tick()));
  schedule();
}

void Pit8254::schedule() {
  if (const std::optional<u64> edge = channels_[0].next_rising_edge(tick())) {
    clock_.arm(timer_, VirtualNs{time_of_tick(*edge, kHz)});
  } else {
    clock_.disarm(timer_);
  }
}

u8 Pit8254::read_timer(u64 offset) {
  if (offset < kChannels) return channels_[offset].read(tick());
  ++ignored_;  // the control word cannot be read
  return 0xff;
}

void Pit8254::write_timer(u64 offset, u8 value) {
  if (offset < kChannels) {
    channels_[offset].write_count(value, tick());
    if (offset == 0) update_irq();
  } else {
    write_control(value);
  }
}

void Pit8254::write_control(u8 value) {
  const unsigned select = value >> 6;
  if (select == kReadBack) {
    for (unsigned i = 0; i < kChannels; ++i) {
      if (!(value & (2u << i))) continue;
      if (!(value & kReadBackNoCount)) channels_[i].latch_count(tick());
      if (!(value & kReadBackNoStatus)) channels_[i].latch_status(tick());
    }
  } else if (static_cast<Access>((value >> 4) & 3) == Access::latch) {
    channels_[select].latch_count(tick());
  } else {
    channels_[select].write_control(value);
    if (select == 0) update_irq();
  }
}

u8 Pit8254::read_system(u64) {
  const u64 now = tick();
  u8 value = port_b_;
  if ((now / kRefreshTicks) % 2 != 0) value |= kRefreshToggle;
  if (channels_[2].output(now)) value |= kOut2;
  return value;
}

void Pit8254::write_system(u64, u8 value) {
  port_b_ = value & kPortBWritable;
  channels_[2].set_gate(value & kGate2, tick());
}

void Pit8254::save(StateWriter& writer) const {
  writer.section(name(), 1);
  for (const PitChannel& channel : channels_) channel.save(writer);
  writer.write_u8(port_b_);
}

void Pit8254::load(StateReader& reader) {
  reader.section(name(), 1);
  for (PitChannel& channel : channels_) channel.load(reader);
  port_b_ = reader.read_u8();
}

}  // namespace rondo::devices
