// Whether the slow sizes of tests are wanted: scripts/test --all.
#pragma once

#include <cstdlib>
#include <cstring>

namespace rondo {

inline bool slow_tests() {
  const char* wanted = std::getenv("RONDO_SLOW_TESTS");
  return wanted && std::strcmp(wanted, "1") == 0;
}

}  // namespace rondo
