// libFuzzer: a packed recording. What it gives must keep to the sizes and paths that it announced. If the first byte is
// odd, all digests and hashes are made right first.
#include <sys/mman.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "replay/format/digest.h"
#include "replay/format/sha256.h"
#include "replay/pack_stream.h"
#include "tests/replay/fuzz/little_endian.h"

namespace {

using namespace rondo;
using namespace rondo::replay;

constexpr u64 kHeaderBytes = 16, kEntryBytes = 16, kHashBytes = 32;
constexpr u32 kEntryMagic = 0x4e454b50, kEndMagic = 0x44454b50;

void store_hash(std::vector<u8>& bytes, u64 at, std::span<const u8> of) {
  Sha256 sha;
  sha.add(of);
  const Sha256Digest digest = sha.finish();
  std::copy(digest.begin(), digest.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

void repair(std::vector<u8>& pack) {
  u64 at = kHeaderBytes;
  while (at + kEntryBytes <= pack.size() && load(pack, at, 4) == kEntryMagic) {
    const u64 header = kEntryBytes + load(pack, at + 4, 2);
    if (header + 8 > pack.size() - at) return;
    store(pack, at + header, digest64(std::span(pack).subspan(at, header)), 8);
    const u64 frame = at + header + 8;
    const u64 frame_bytes = ZSTD_findFrameCompressedSize(pack.data() + frame, pack.size() - frame);
    if (ZSTD_isError(frame_bytes) || frame_bytes + kHashBytes > pack.size() - frame) return;
    std::vector<u8> content(1 << 16);
    const u64 size = ZSTD_decompress(content.data(), content.size(), pack.data() + frame, frame_bytes);
    if (ZSTD_isError(size)) return;
    store_hash(pack, frame + frame_bytes, std::span(content).first(size));
    at = frame + frame_bytes + kHashBytes;
  }
  if (at + 8 + kHashBytes <= pack.size() && load(pack, at, 4) == kEndMagic) {
    store_hash(pack, at + 8, std::span(pack).first(at + 8));
  }
}

class Checker final : public PackSink {
 public:
  Status begin(PackPath kind, const std::string& path, u64 bytes) override {
    if (classify_pack_path(path) != kind || bytes > max_bytes(kind)) std::abort();
    left_ = bytes;
    total_ += bytes;
    return total_ > (u64{64} << 20) ? Status(Error{"enough"}) : success();
  }
  Status data(std::span<const u8> bytes) override {
    if (bytes.size() > left_) std::abort();
    left_ -= bytes.size();
    return success();
  }
  Status end() override {
    if (left_ != 0) std::abort();
    return success();
  }

 private:
  u64 left_ = 0, total_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<u8> bytes(data + 1, data + size);
  if (data[0] & 1) repair(bytes);
  FileDescriptor file(::memfd_create("pack", MFD_CLOEXEC));
  if (!file || !write_all(file.get(), bytes)) std::abort();
  Checker checker;
  static_cast<void>(read_pack(file.get(), "input", checker));
  return 0;
}
