#include "replay/format/sha256.h"

#include <openssl/evp.h>

#include "core/base/assert.h"

namespace rondo::replay {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  Context() { restart(); }
  ~Context() { EVP_MD_CTX_free(evp); }
  void restart() { RONDO_ASSERT(evp && EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::add(std::span<const u8> bytes) {
  RONDO_ASSERT(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  unsigned length = 0;
  RONDO_ASSERT(EVP_DigestFinal_ex(context_->evp, digest.data(), &length) == 1 && length == digest.size());
  context_->restart();
  return digest;
}

std::string to_hex(const Sha256Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const u8 byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const u8> bytes) {
  Sha256 sha;
  sha.add(bytes);
  return to_hex(sha.finish());
}

}  // namespace rondo::replay
