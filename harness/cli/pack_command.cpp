#include "harness/cli/pack_command.h"

#include <cstdio>

#include "harness/cli/exit_status.h"
#include "replay/pack.h"

namespace rondo::cli {
namespace {

int tell(const char* verb, const Result<replay::PackTotals>& result) {
  if (!result) {
    std::fprintf(stderr, "rondo: %s: %s\n", verb, result.error().message.c_str());
    return kBadUsage;
  }
  return kEnded;
}

}  // namespace

int pack_command(const std::string& directory, const std::string& file) {
  return tell("pack", replay::pack_recording(directory, file));
}

int unpack_command(const std::string& file, const std::string& directory) {
  return tell("unpack", replay::unpack_recording(file, directory));
}

}  // namespace rondo::cli
