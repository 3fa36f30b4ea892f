#include "devices/post_code/post_code.h"

namespace rondo::devices {

u8 PostCode::read_byte(u64) { return code_; }
void PostCode::write_byte(u64, u8 value) { code_ = value; }

void PostCode::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_u8(code_);
}

void PostCode::load(StateReader& reader) {
  reader.section(name(), 1);
  code_ = reader.read_u8();
}

}  // namespace rondo::devices
