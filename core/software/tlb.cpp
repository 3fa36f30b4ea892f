#include "core/software/tlb.h"

namespace rondo::software {

void Tlb::drop_writes() {
  for (TlbEntry& entry : entries_) entry.write_tag = entry.watched_tag = kInvalidTag;
}

void Tlb::watch(const u8* host_page) {
  for (TlbEntry& entry : entries_) {
    if (entry.write_tag == kInvalidTag) continue;
    const u64 linear_page = entry.write_tag & ~kPageMask;
    if (linear_page + entry.host_delta == reinterpret_cast<u64>(host_page)) {
      entry.watched_tag = entry.write_tag;
      entry.write_tag = kInvalidTag;
    }
  }
}

}  // namespace rondo::software
