#include "harness/cli/counting.h"

#include <cstdio>

#include "harness/cli/progress.h"
#include "harness/host/terminal.h"
#include "harness/recordings/counted.h"

namespace rondo::cli {

Result<std::string> with_instructions_counted(const std::string& recording) {
  const host::StopSignals signals;
  Progress progress(host::is_terminal(2));
  bool told = false;
  const Result<recordings::CountedRecording> counted =
      recordings::counted_recording(recording, [&](const Clock& clock) {
        if (!told)
          std::fprintf(stderr, "rondo: '%s' was made on KVM: it is replayed once to count its instructions\n",
                       recording.c_str());
        told = true;
        progress.update(clock);
        return host::StopSignals::pending() == 0;
      });
  if (!counted) return counted.error();
  if (counted->divergence)
    std::fprintf(stderr, "rondo: '%s' is known up to here only: the replay differs from the recording: %s\n",
                 recording.c_str(), counted->divergence->c_str());
  return counted->directory;
}

}  // namespace rondo::cli
