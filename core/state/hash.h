// State hashes: XXH3-128 over canonical bytes, printed as 32 hexadecimal digits.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/types.h"

namespace rondo {

class Hasher {
 public:
  Hasher();
  ~Hasher();
  void add(std::span<const u8> bytes);
  void add(u64 value);  // eight bytes, little-endian
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_hex(std::span<const u8> bytes);

}  // namespace rondo
