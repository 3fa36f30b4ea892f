// Recordings made on KVM, for commands that go to single instructions.
#pragma once

#include <string>

#include "core/base/result.h"

namespace rondo::cli {

// The directory to work on instead of `recording`: itself, or the form in which its instructions are counted
// (harness/recordings/counted.h). Says on standard error what takes long, and what is not as it was recorded.
Result<std::string> with_instructions_counted(const std::string& recording);

}  // namespace rondo::cli
