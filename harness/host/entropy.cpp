#include "harness/host/entropy.h"

#include <sys/random.h>

#include <cerrno>
#include <fstream>

#include "core/base/assert.h"

namespace rondo::host {

void fill_random(std::span<u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    RONDO_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<u64>(got));
  }
}

u64 random_u64() {
  u64 value = 0;
  fill_random({reinterpret_cast<u8*>(&value), sizeof value});
  return value;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    const auto colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace rondo::host
