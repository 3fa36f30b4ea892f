#include "replay/format/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rondo::replay {

u64 digest64(std::span<const u8> bytes, u64 seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

u64 recording_digest(std::string_view recording_id) {
  return digest64({reinterpret_cast<const u8*>(recording_id.data()), recording_id.size()});
}

}  // namespace rondo::replay
