#include "harness/cli/decoder_command.h"

#include <iostream>

#include "decoder/coverage.h"
#include "harness/cli/exit_status.h"

namespace rondo::cli {

int decoder_coverage(bool json, bool all) {
  std::cout << (json ? decoder::coverage_json() : decoder::coverage_text(all));
  std::cout.flush();
  return std::cout ? kEnded : kOther;
}

}  // namespace rondo::cli
