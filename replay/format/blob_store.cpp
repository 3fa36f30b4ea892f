#include "replay/format/blob_store.h"

#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "core/state/stream.h"
#include "replay/format/files.h"
#include "replay/format/sha256.h"

namespace rondo::replay {
namespace {

// A blob's file: magic (u32), encoding (u32), number of bytes (u64), then the bytes or one zstd frame.
constexpr u32 kMagic = 0x424f4c42;  // "BLOB"
constexpr u64 kHeaderBytes = 16;
enum Encoding : u32 { kPlain = 0, kZstd = 1 };
constexpr int kCompressionLevel = 3;
constexpr u64 kBufferBytes = u64{256} << 10;

}  // namespace

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

Status decode_blob(int fd, const std::string& path, const std::string& id, u64 max_bytes,
                   const std::function<void(std::span<const u8>)>& take) {
  const Status unpackable = file_error(path, "is damaged: it cannot be unpacked");
  std::vector<u8> in(kBufferBytes), out(kBufferBytes);
  auto got = read_at(fd, 0, std::span(in).first(kHeaderBytes), path);
  if (!got) return got.error();
  StateReader reader(std::span<const u8>(in).first(*got));
  const u32 magic = reader.read_u32();
  const u32 encoding = reader.read_u32();
  const u64 size = reader.read_u64();
  if (!reader.ok() || magic != kMagic || encoding > kZstd) return file_error(path, "is damaged: it is not a blob");
  if (size > max_bytes) {
    return file_error(path, "holds " + std::to_string(size) + " bytes, more than the " + std::to_string(max_bytes) +
                                " that can be used here");
  }
  Sha256 sha;
  u64 done = 0;
  const auto accept = [&](std::span<const u8> piece) {
    done += piece.size();
    if (done > size) return false;
    sha.add(piece);
    take(piece);
    return true;
  };
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  RONDO_ASSERT(context);
  bool frame_ended = false;
  for (u64 offset = kHeaderBytes;; offset += *got) {
    got = read_at(fd, offset, in, path);
    if (!got) return got.error();
    if (*got == 0) break;
    if (encoding == kPlain) {
      if (!accept(std::span(in).first(*got))) return unpackable;
      continue;
    }
    ZSTD_inBuffer input{in.data(), *got, 0};
    bool more = true;
    while (more) {
      if (frame_ended) return unpackable;  // something follows the frame
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      const u64 left = ZSTD_decompressStream(context.get(), &output, &input);
      if (ZSTD_isError(left) || !accept(std::span(out).first(output.pos))) return unpackable;
      frame_ended = left == 0;
      more = input.pos < input.size || (output.pos == output.size && !frame_ended);
    }
  }
  if (done != size || (encoding == kZstd && !frame_ended)) return unpackable;
  if (to_hex(sha.finish()) != id) return file_error(path, "is damaged: its content does not match its name");
  return success();
}

Result<std::vector<u8>> BlobStore::get(const std::string& id, u64 max_bytes) const {
  std::vector<u8> bytes;
  const auto read = decode(id, max_bytes, [&](auto piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  if (!read) return read.error();
  return bytes;
}

Status BlobStore::verify(const std::string& id, u64 bytes) const {
  u64 found = 0;
  if (auto read = decode(id, bytes, [&](auto piece) { found += piece.size(); }); !read) return read;
  if (found != bytes) {
    return file_error(folder_ + "/" + id,
                      "holds " + std::to_string(found) + " bytes instead of " + std::to_string(bytes));
  }
  return success();
}

Status BlobStore::decode(const std::string& id, u64 max_bytes,
                         const std::function<void(std::span<const u8>)>& take) const {
  if (!is_blob_id(id)) return Error{"'" + id + "' is not the name of a blob"};
  const std::string path = folder_ + "/" + id;
  const auto fd = open_regular(path);
  if (!fd) return fd.error();
  return decode_blob(fd->get(), path, id, std::min(max_bytes, kMaxBlobBytes), take);
}

}  // namespace rondo::replay
