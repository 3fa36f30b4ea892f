// How an access of the CPU reaches a device: the same on every engine.
#pragma once

#include "core/base/types.h"

namespace rondo {

// Calls part(address, offset, size) in address order. An access is cut every 8 bytes from its start (as KVM hands it
// out), and each of these into naturally aligned parts.
template <class Part>
void for_each_device_part(u64 address, unsigned size, Part part) {
  for (unsigned done = 0; done < size;) {
    const unsigned left_in_cut = 8 - done % 8;
    unsigned bytes = 8;
    while (bytes > size - done || bytes > left_in_cut || ((address + done) & (bytes - 1))) bytes /= 2;
    part(address + done, done, bytes);
    done += bytes;
  }
}

}  // namespace rondo
