#include "core/state/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

namespace rondo {
namespace {

Hash128 value_of(XXH128_hash_t hash) { return {hash.high64, hash.low64}; }

}  // namespace

struct alignas(64) Hasher::State {
  XXH3_state_t xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Hasher::~Hasher() = default;

void Hasher::add(std::span<const u8> bytes) { XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size()); }

void Hasher::add(u64 value) {
  std::array<u8, 8> bytes;
  for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<u8>(value >> (8 * i));
  add(bytes);
}

Hash128 Hasher::digest() const { return value_of(XXH3_128bits_digest(&state_->xxh)); }

Hash128 hash128(std::span<const u8> bytes) { return value_of(XXH3_128bits(bytes.data(), bytes.size())); }

}  // namespace rondo
