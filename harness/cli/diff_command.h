// `rondo diff`: the first Moment at which two recordings differ, or a recording and its replay.
#pragma once

#include <string>
#include <vector>

#include "harness/recordings/plant.h"

namespace rondo::cli {

struct DiffOptions {
  std::vector<std::string> recordings;  // one or two directories
  bool json = false;
  std::vector<recordings::Plant> plants_a, plants_b;
};

// Returns the exit status. Errors are one line on standard error.
int diff_command(const DiffOptions& options);

}  // namespace rondo::cli
