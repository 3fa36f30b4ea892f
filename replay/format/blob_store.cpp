#include "replay/format/blob_store.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/state/stream.h"
#include "replay/format/files.h"

namespace rondo::replay {
namespace {

// A blob's file: magic (u32), encoding (u32), number of bytes (u64), then the bytes or one zstd frame.
constexpr u32 kMagic = 0x424f4c42;  // "BLOB"
constexpr u64 kHeaderBytes = 16;
enum Encoding : u32 { kPlain = 0, kZstd = 1 };
constexpr int kCompressionLevel = 3;

}  // namespace

std::string sha256_hex(std::span<const u8> bytes) {
  std::array<u8, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  RONDO_ASSERT(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

bool is_blob_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

BlobStore::BlobStore(const std::string& recording) : folder_(recording + "/" + kBlobFolder) {}

bool BlobStore::contains(const std::string& id) const { return is_blob_id(id) && exists(folder_ + "/" + id); }

Result<std::string> BlobStore::put(std::span<const u8> bytes) {
  const std::string id = sha256_hex(bytes);
  const std::string path = folder_ + "/" + id;
  if (bytes.size() > kMaxBlobBytes) return file_error(path, "a blob of more than 4 GiB cannot be stored");
  if (exists(path)) return id;
  if (::mkdir(folder_.c_str(), 0777) != 0 && errno != EEXIST) return errno_error(folder_, "cannot be made");

  std::vector<u8> packed(ZSTD_compressBound(bytes.size()));
  const u64 packed_bytes = ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), kCompressionLevel);
  const bool use_packed = !ZSTD_isError(packed_bytes) && packed_bytes < bytes.size();

  StateWriter header;
  header.write_u32(kMagic);
  header.write_u32(use_packed ? kZstd : kPlain);
  header.write_u64(bytes.size());
  auto file = AtomicFile::create(path);
  if (!file) return file.error();
  if (auto written = file->write(header.bytes()); !written) return written.error();
  const auto content = use_packed ? std::span<const u8>(packed).first(packed_bytes) : bytes;
  if (auto written = file->write(content); !written) return written.error();
  if (auto committed = file->commit(false); !committed) return committed.error();
  return id;
}

Result<std::vector<u8>> BlobStore::get(const std::string& id, u64 max_bytes) const {
  if (!is_blob_id(id)) return Error{"'" + id + "' is not the name of a blob"};
  const std::string path = folder_ + "/" + id;
  const u64 limit = std::min(max_bytes, kMaxBlobBytes);
  auto file = read_file(path, kHeaderBytes + limit);
  if (!file) return file.error();
  StateReader reader(*file);
  const u32 magic = reader.read_u32();
  const u32 encoding = reader.read_u32();
  const u64 size = reader.read_u64();
  if (!reader.ok() || magic != kMagic || encoding > kZstd) return file_error(path, "is damaged: not a blob");
  if (size > limit) {
    return file_error(path, "holds " + std::to_string(size) + " bytes, more than the " + std::to_string(limit) +
                                " that can be used here");
  }
  const auto content = std::span<const u8>(*file).subspan(kHeaderBytes);
  std::vector<u8> bytes;
  if (encoding == kPlain) {
    if (content.size() != size) return file_error(path, "is damaged: it has the wrong length");
    bytes.assign(content.begin(), content.end());
  } else {
    if (ZSTD_findFrameCompressedSize(content.data(), content.size()) != content.size() ||
        ZSTD_getFrameContentSize(content.data(), content.size()) != size) {
      return file_error(path, "is damaged: it cannot be unpacked");
    }
    bytes.resize(size);
    if (ZSTD_decompress(bytes.data(), bytes.size(), content.data(), content.size()) != size) {
      return file_error(path, "is damaged: it cannot be unpacked");
    }
  }
  if (sha256_hex(bytes) != id) return file_error(path, "is damaged: its content does not match its name");
  return bytes;
}

}  // namespace rondo::replay
