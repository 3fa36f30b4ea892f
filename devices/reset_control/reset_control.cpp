#include "devices/reset_control/reset_control.h"

#include "devices/reset_control/registers.h"

namespace rondo::devices {

using namespace reset_control;

u8 ResetControl::read_byte(u64) { return value_; }

void ResetControl::write_byte(u64, u8 value) {
  const bool starts = ~value_ & value & kResetCpu;
  value_ = value & kWritable;
  if (starts) machine_.request_reset();
}

void ResetControl::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_u8(value_);
}

void ResetControl::load(StateReader& reader) {
  reader.section(name(), 1);
  value_ = reader.read_u8();
}

}  // namespace rondo::devices
