// The blob store of a recording: whole files (kernel, initrd, disks) under the SHA-256 of their bytes, compressed where
// that helps, verified whenever they are read.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::replay {

inline constexpr char kBlobFolder[] = "blobs";
inline constexpr u64 kMaxBlobBytes = u64{4} << 30;

std::string sha256_hex(std::span<const u8> bytes);
// 64 hexadecimal digits in lower case.
bool is_blob_id(std::string_view text);

class BlobStore {
 public:
  // `recording` is the recording's directory. Nothing is touched before put().
  explicit BlobStore(const std::string& recording);

  // Stores the bytes (atomically; nothing happens if they are there already) and returns their id.
  Result<std::string> put(std::span<const u8> bytes);
  // The bytes, verified against the id. Refuses more than max_bytes before it allocates them.
  Result<std::vector<u8>> get(const std::string& id, u64 max_bytes = kMaxBlobBytes) const;
  bool contains(const std::string& id) const;

 private:
  std::string folder_;
};

}  // namespace rondo::replay
