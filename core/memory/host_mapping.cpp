#include "core/memory/host_mapping.h"

#include <sys/mman.h>

namespace rondo {

HostMapping HostMapping::reserve(u64 bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? HostMapping() : HostMapping(static_cast<u8*>(p), bytes);
}

HostMapping::~HostMapping() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace rondo
