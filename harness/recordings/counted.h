// Recordings made on KVM, with instructions counted afterwards.
//
// Such a recording names its Moments by synchronous events, because nothing counts instructions on KVM. A replay in the
// software engine does. So the recording is replayed once, and written down again as one in which the same events
// happen at counts of instructions: whatever goes to single instructions (`rondo debug`, `rondo diff`) works on that
// one. It lies in the recording's own directory, is made again if the recording has grown, and may be deleted.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/time/clock.h"

namespace rondo::recordings {

inline constexpr char kCountedFolder[] = "counted";

struct CountedRecording {
  std::string directory;  // of the recording itself if its instructions are counted anyway
  // The replay differs from the recording, with what: the counted one ends there.
  std::optional<std::string> divergence;
};

// Now and then while it is made; false: give up.
using CountingProgress = std::function<bool(const Clock& clock)>;

Result<CountedRecording> counted_recording(const std::string& recording, const CountingProgress& progress = {});

}  // namespace rondo::recordings
