#include "devices/pic8259/pic8259.h"

namespace rondo::devices {

using namespace pic;

Pic8259::Pic8259(InterruptLine& intr, Pic8259Config config) : intr_(intr), config_(config) { reset(); }

void Pic8259::reset() {
  master_.reset();
  slave_.reset();
  write_elcr(0, static_cast<u8>(config_.reset_elcr));
  write_elcr(1, static_cast<u8>(config_.reset_elcr >> 8));
}

// The slave's INT drives the master's input 2, the master's INT the processor.
void Pic8259::update() {
  master_.set_input(kCascadeInput, slave_.requests());
  intr_.set_level(master_.requests());
}

void Pic8259::set_input(unsigned input, bool high) {
  if (input == kCascadeInput || input >= input_count()) return;
  if (input < 8) {
    master_.set_input(input, high);
  } else {
    slave_.set_input(input - 8, high);
  }
  update();
}

u8 Pic8259::acknowledge() {
  const std::optional<unsigned> input = master_.acknowledge();
  if (!input) return master_.vector(kSpuriousInput);
  u8 vector = master_.vector(*input);
  if (*input == kCascadeInput) {
    vector = slave_.vector(slave_.acknowledge().value_or(kSpuriousInput));
    // INT drops with the acknowledge, so that a further request is a new edge for the master.
    master_.set_input(kCascadeInput, false);
  }
  update();
  return vector;
}

u8 Pic8259::read_master(u64 offset) {
  const u8 value = master_.read(offset);
  update();
  return value;
}

u8 Pic8259::read_slave(u64 offset) {
  const u8 value = slave_.read(offset);
  update();
  return value;
}

void Pic8259::write_master(u64 offset, u8 value) {
  master_.write(offset, value);
  update();
}

void Pic8259::write_slave(u64 offset, u8 value) {
  slave_.write(offset, value);
  update();
}

u8 Pic8259::read_elcr(u64 offset) { return offset == 0 ? master_.level_triggered() : slave_.level_triggered(); }

void Pic8259::write_elcr(u64 offset, u8 value) {
  if (offset == 0) {
    master_.set_level_triggered(value & static_cast<u8>(kElcrWritable));
  } else {
    slave_.set_level_triggered(value & static_cast<u8>(kElcrWritable >> 8));
  }
  update();
}

void Pic8259::save(StateWriter& writer) const {
  writer.section(name(), 1);
  master_.save(writer);
  slave_.save(writer);
}

void Pic8259::load(StateReader& reader) {
  reader.section(name(), 1);
  master_.load(reader);
  slave_.load(reader);
}

}  // namespace rondo::devices
