// POST code port 0x80: a byte that can be written and read back. Kernels write it for a short delay; here it takes no
// extra time.
#pragma once

#include "core/device.h"
#include "devices/post_code/registers.h"
#include "devices/wiring/byte_target.h"

namespace rondo::devices {

class PostCode final : public Device, public ByteTarget {
 public:
  u8 code() const { return code_; }

  std::string_view name() const override { return "post_code"; }
  void reset() override { code_ = 0; }
  void save(StateWriter& writer) const override;
  void load(StateReader& reader) override;

 protected:
  u8 read_byte(u64 offset) override;
  void write_byte(u64 offset, u8 value) override;

 private:
  u8 code_ = 0;
};

}  // namespace rondo::devices
