// State hashes: XXH3-128 over canonical bytes, printed as 32 hexadecimal digits.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/hash128.h"
#include "core/base/types.h"

namespace rondo {

class Hasher {
 public:
  Hasher();
  ~Hasher();
  void add(std::span<const u8> bytes);
  void add(u64 value);  // eight bytes, little-endian
  Hash128 digest() const;
  std::string hex() const { return digest().hex(); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Hash128 hash128(std::span<const u8> bytes);
inline std::string hash_hex(std::span<const u8> bytes) { return hash128(bytes).hex(); }

}  // namespace rondo
