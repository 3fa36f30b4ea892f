// `rondo pack` and `rondo unpack`: a recording as one file.
#pragma once

#include <string>

namespace rondo::cli {

// Return the exit status: 0 done, 2 bad input or nowhere to write.
int pack_command(const std::string& directory, const std::string& file);
int unpack_command(const std::string& file, const std::string& directory);

}  // namespace rondo::cli
