#include "replay/checkpoint/compression.h"

#include <zstd.h>

#include "core/base/assert.h"

namespace rondo::replay {
namespace {

constexpr int kLevel = 1;  // the guest must not wait for the compressor

}  // namespace

struct Compressor::Context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  ~Context() { ZSTD_freeCCtx(zstd); }
};

Compressor::Compressor() : context_(std::make_unique<Context>()) { RONDO_ASSERT(context_->zstd); }
Compressor::~Compressor() = default;

std::span<const u8> Compressor::compress(std::span<const u8> bytes) {
  if (const u64 bound = compressed_bound(bytes.size()); out_.size() < bound) out_.resize(bound);
  const std::size_t size =
      ZSTD_compressCCtx(context_->zstd, out_.data(), out_.size(), bytes.data(), bytes.size(), kLevel);
  RONDO_ASSERT(!ZSTD_isError(size));
  return std::span(out_).first(size);
}

struct Decompressor::Context {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  ~Context() { ZSTD_freeDCtx(zstd); }
};

Decompressor::Decompressor() : context_(std::make_unique<Context>()) { RONDO_ASSERT(context_->zstd); }
Decompressor::~Decompressor() = default;

bool Decompressor::decompress(std::span<const u8> compressed, std::span<u8> out) {
  return ZSTD_decompressDCtx(context_->zstd, out.data(), out.size(), compressed.data(), compressed.size()) ==
         out.size();
}

u64 compressed_bound(u64 bytes) { return ZSTD_compressBound(bytes); }

}  // namespace rondo::replay
