// SHA-256: names blobs, and verifies packed files.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "core/base/types.h"

namespace rondo::replay {

using Sha256Digest = std::array<u8, 32>;

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const u8> bytes);
  Sha256Digest finish();  // and starts anew

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string to_hex(const Sha256Digest& digest);
std::string sha256_hex(std::span<const u8> bytes);

}  // namespace rondo::replay
