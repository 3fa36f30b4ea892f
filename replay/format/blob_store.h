// The blob store of a recording: whole files (kernel, initrd, disks) under the SHA-256 of their bytes, compressed where
// that helps, verified whenever they are read.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::replay {

inline constexpr char kBlobFolder[] = "blobs";
inline constexpr u64 kMaxBlobBytes = u64{4} << 30;

// 64 hexadecimal digits in lower case.
bool is_blob_id(std::string_view text);

// Unpacks a blob's file piece by piece and verifies it against the id. What `take` got counts only after success.
// `path` is for messages.
Status decode_blob(int fd, const std::string& path, const std::string& id, u64 max_bytes,
                   const std::function<void(std::span<const u8>)>& take);

class BlobStore {
 public:
  // `recording` is the recording's directory. Nothing is touched before put().
  explicit BlobStore(const std::string& recording);

  // Stores the bytes (atomically; nothing happens if they are there already) and returns their id.
  Result<std::string> put(std::span<const u8> bytes);
  // The bytes, verified against the id. Refuses more than max_bytes.
  Result<std::vector<u8>> get(const std::string& id, u64 max_bytes = kMaxBlobBytes) const;
  // Whether they are there, whole, and this many; in little memory.
  Status verify(const std::string& id, u64 bytes) const;
  bool contains(const std::string& id) const;

 private:
  Status decode(const std::string& id, u64 max_bytes, const std::function<void(std::span<const u8>)>& take) const;
  std::string folder_;
};

}  // namespace rondo::replay
