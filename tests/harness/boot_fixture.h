// A guest memory to load images into.
#pragma once

#include <gtest/gtest.h>

#include "harness/boot/boot.h"
#include "tests/harness/images.h"

namespace rondo::boot {

class BootTest : public ::testing::Test {
 protected:
  static constexpr u64 kMemory = u64{64} << 20;

  // Each load gets a fresh memory.
  Result<BootedImage> boot(const images::Bytes& kernel, const images::Bytes& initrd = {},
                           const std::string& command_line = "console=ttyS0", u64 memory_bytes = kMemory) {
    memory_ = PhysicalMemory::create(memory_bytes).value();
    placement_.emplace(*memory_);
    EXPECT_TRUE(placement_->take("the ACPI tables", GuestPhys{0xe0000}, 0x20000, RegionType::reserved));
    return load({kernel, initrd, command_line, GuestPhys{0xe0000}}, *memory_, *placement_);
  }
  std::string error_of(const images::Bytes& kernel, const images::Bytes& initrd = {},
                       const std::string& command_line = "x", u64 memory_bytes = kMemory) {
    const Result<BootedImage> result = boot(kernel, initrd, command_line, memory_bytes);
    if (result) return "";
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    return result.error().message;
  }
  images::Bytes read(u64 address, u64 size) {
    images::Bytes out(size);
    EXPECT_TRUE(memory_->read(GuestPhys{address}, out));
    return out;
  }
  template <class T>
  T read_field(u64 address) {
    T value{};
    const images::Bytes bytes = read(address, sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string read_text(u64 address) {
    const images::Bytes bytes = read(address, 256);
    return reinterpret_cast<const char*>(bytes.data());
  }

  std::unique_ptr<PhysicalMemory> memory_;
  std::optional<Placement> placement_;
};

}  // namespace rondo::boot
