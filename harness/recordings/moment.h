// Moments as people name them: "1500000" or "1.5M" (instructions), "2.5s" or "300ms" (virtual time), "event:12",
// "end", "end-1000" (instructions before the end), "end-5ms".
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::recordings {

struct MomentName {
  enum class Kind : u8 { count, time, event, end };
  Kind kind = Kind::count;
  u64 value = 0;              // instructions, nanoseconds or event number; with `end`: how much before it
  bool before_in_ns = false;  // with `end`: the value is nanoseconds
  bool operator==(const MomentName&) const = default;
};

Result<MomentName> parse_moment(const std::string& text);

}  // namespace rondo::recordings
