// Little-endian fields of untrusted images.
#pragma once

#include <concepts>
#include <cstring>
#include <span>

#include "core/base/types.h"

namespace rondo::boot {

// The field at `offset`, which the caller has checked to lie inside; unaligned is fine.
template <std::unsigned_integral T>
T field(std::span<const u8> bytes, u64 offset) {
  T value = 0;
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

template <std::unsigned_integral T>
void put_field(std::span<u8> bytes, u64 offset, T value) {
  std::memcpy(bytes.subspan(offset, sizeof(T)).data(), &value, sizeof(T));
}

// Whether [offset, offset + length) lies in `size` bytes, without wrapping around.
inline bool lies_inside(u64 offset, u64 length, u64 size) { return offset <= size && length <= size - offset; }

}  // namespace rondo::boot
