// XXH3-64: detects damage of headers and payloads. Not against forgery: nothing here trusts a digest to make bytes
// safe.
#pragma once

#include <span>
#include <string_view>

#include "core/base/types.h"

namespace rondo::replay {

u64 digest64(std::span<const u8> bytes, u64 seed = 0);
// What ties the files of one recording together: every log header and chunk depends on it.
u64 recording_digest(std::string_view recording_id);

}  // namespace rondo::replay
