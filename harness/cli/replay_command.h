// `rondo replay`: runs a recording again and holds it to its state hashes.
#pragma once

#include <string>
#include <vector>

#include "harness/recordings/plant.h"

namespace rondo::cli {

struct ReplayOptions {
  std::string directory;
  std::string engine = "software";
  std::string to;  // a Moment; empty: the end
  std::string console = "stdio";
  std::string report_path;
  bool follow = false;  // wait for what is still being written
  bool insist = false;  // on KVM: although the guest may see there what was not recorded
  bool single_step = false;
  std::vector<recordings::Plant> plants;
};

// Returns the exit status. Errors are one line on standard error.
int replay_command(const ReplayOptions& options);

}  // namespace rondo::cli
