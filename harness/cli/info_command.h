// `rondo info`: what is in a recording, be it a directory or a packed file.
#pragma once

#include <string>

namespace rondo::cli {

// Returns the exit status: 0 complete, 2 not a recording (or of another version), 6 unfinished, 7 damaged.
int info_command(const std::string& path, bool json);

}  // namespace rondo::cli
