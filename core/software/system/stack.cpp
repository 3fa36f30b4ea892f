#include "core/software/system/stack.h"

namespace rondo::software {

u64 StackCursor::moved(u64 by) const {
  switch (address_bytes_) {
    case 8:
      return pointer_ + by;
    case 4:
      return (pointer_ + by) & 0xffffffff;
    default:
      return (pointer_ & ~u64{0xffff}) | ((pointer_ + by) & 0xffff);
  }
}

u64 StackCursor::linear(u64 pointer, unsigned bytes) const {
  if (address_bytes_ == 8) {
    if (!is_canonical(pointer) || !is_canonical(pointer + bytes - 1)) throw fault_ss(error_);
    return pointer;
  }
  const u64 offset = address_bytes_ == 4 ? pointer & 0xffffffff : pointer & 0xffff;
  if (!within_limit(ss_, offset, bytes)) throw fault_ss(error_);
  return (ss_.base + offset) & 0xffffffff;
}

void StackCursor::push(u64 value, unsigned bytes) {
  const u64 below = moved(u64{0} - bytes);
  const u64 at = linear(below, bytes);
  switch (bytes) {
    case 8:
      write_stack<u64>(cpu_, op_, at, value);
      break;
    case 4:
      write_stack<u32>(cpu_, op_, at, static_cast<u32>(value));
      break;
    default:
      write_stack<u16>(cpu_, op_, at, static_cast<u16>(value));
      break;
  }
  pointer_ = below;
}

u64 StackCursor::peek(u64 offset, unsigned bytes) const {
  const u64 at = linear(moved(offset), bytes);
  switch (bytes) {
    case 8:
      return read_stack<u64>(cpu_, op_, at);
    case 4:
      return read_stack<u32>(cpu_, op_, at);
    default:
      return read_stack<u16>(cpu_, op_, at);
  }
}

u64 StackCursor::pop(unsigned bytes) {
  const u64 value = peek(0, bytes);
  move(bytes);
  return value;
}

}  // namespace rondo::software
