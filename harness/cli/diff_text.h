// A divergence report for people and for machines.
#pragma once

#include <string>

#include "harness/recordings/diff.h"

namespace rondo::cli {

// Both end with a line feed.
std::string diff_text(const recordings::DiffReport& report);
std::string diff_json(const recordings::DiffReport& report);

}  // namespace rondo::cli
