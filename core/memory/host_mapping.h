// A piece of the host's address space, given back at the end. Reads as zeros and costs the host what is touched.
#pragma once

#include <utility>

#include "core/base/types.h"

namespace rondo {

class HostMapping {
 public:
  HostMapping() = default;
  // Empty if the host has no room.
  static HostMapping reserve(u64 bytes);
  HostMapping(HostMapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  HostMapping& operator=(HostMapping other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~HostMapping();

  explicit operator bool() const { return data_ != nullptr; }
  u8* data() const { return data_; }
  u64 size() const { return bytes_; }

 private:
  HostMapping(u8* data, u64 bytes) : data_(data), bytes_(bytes) {}
  u8* data_ = nullptr;
  u64 bytes_ = 0;
};

}  // namespace rondo
