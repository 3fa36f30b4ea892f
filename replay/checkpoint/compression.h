// zstd for the parts of a checkpoint: quick rather than small.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/types.h"

namespace rondo::replay {

// For one thread at a time; its working memory is used again.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  // One zstd frame. The bytes hold until the next call.
  std::span<const u8> compress(std::span<const u8> bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  std::vector<u8> out_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  // Fills `out` exactly, or returns false.
  bool decompress(std::span<const u8> compressed, std::span<u8> out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The most that so many bytes can take compressed.
u64 compressed_bound(u64 bytes);

}  // namespace rondo::replay
