#include "replay/pack_stream.h"

#include <zstd.h>

#include <algorithm>
#include <set>
#include <vector>

#include "core/state/stream.h"
#include "replay/format/blob_store.h"
#include "replay/format/digest.h"
#include "replay/format/envelope.h"
#include "replay/format/index.h"
#include "replay/format/log_layout.h"
#include "replay/format/sha256.h"

namespace rondo::replay {
namespace {

constexpr std::string_view kMagic = "RONDOPAK";
constexpr u64 kHeaderBytes = kMagicBytes + 2 + 2 + 4;  // magic, major, minor, reserved
constexpr u32 kEntryMagic = 0x4e454b50;                // "PKEN"
constexpr u32 kEndMagic = 0x44454b50;                  // "PKED"
constexpr u64 kEntryFixedBytes = 4 + 2 + 2 + 8;        // magic, length of the path, reserved, bytes
constexpr u64 kMaxPathBytes = 128;
constexpr u64 kMaxEntries = 1'000'000;
constexpr u64 kBufferBytes = u64{256} << 10;
constexpr int kCompressionLevel = 6;
constexpr int kWindowLog = 23;  // 8 MiB: what reading may cost in memory

struct FreeZstd {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
};

bool all_digits(std::string_view text) {
  return !text.empty() && text.size() <= 20 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::optional<PackPath> classify_pack_path(std::string_view path) {
  if (path == kManifestName) return PackPath::manifest;
  if (path == kLogName) return PackPath::log;
  if (path == kIndexName) return PackPath::index;
  constexpr std::string_view kBlobs = "blobs/", kCheckpoints = "checkpoints/", kSuffix = ".ckpt";
  if (path.starts_with(kBlobs) && is_blob_id(path.substr(kBlobs.size()))) return PackPath::blob;
  if (path.starts_with(kCheckpoints) && path.ends_with(kSuffix) &&
      all_digits(path.substr(kCheckpoints.size(), path.size() - kCheckpoints.size() - kSuffix.size()))) {
    return PackPath::checkpoint;
  }
  return std::nullopt;
}

u64 max_bytes(PackPath path) {
  switch (path) {
    case PackPath::manifest:
      return kMaxManifestBytes;
    case PackPath::index:
      return kMaxIndexBytes;
    case PackPath::blob:
      return kMaxBlobBytes + 4096;
    case PackPath::log:
    case PackPath::checkpoint:
      break;
  }
  return u64{64} << 30;
}

// ---- writing ----

struct PackWriter::Impl {
  explicit Impl(AtomicFile created) : file(std::move(created)) {}

  AtomicFile file;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> compression{ZSTD_createCCtx()};
  Sha256 whole;
  u64 bytes = 0;
  u32 entries = 0;

  Status put(std::span<const u8> data) {
    whole.add(data);
    bytes += data.size();
    return file.write(data);
  }
};

PackWriter::PackWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PackWriter::PackWriter(PackWriter&&) noexcept = default;
PackWriter::~PackWriter() = default;

Result<PackWriter> PackWriter::create(const std::string& name) {
  auto file = AtomicFile::create(name);
  if (!file) return file.error();
  auto impl = std::make_unique<Impl>(std::move(*file));
  RONDO_ASSERT(impl->compression);
  ZSTD_CCtx_setParameter(impl->compression.get(), ZSTD_c_compressionLevel, kCompressionLevel);
  ZSTD_CCtx_setParameter(impl->compression.get(), ZSTD_c_windowLog, kWindowLog);
  StateWriter header;
  for (const char c : kMagic) header.write_u8(static_cast<u8>(c));
  header.write_u16(kFormatVersion.major);
  header.write_u16(kFormatVersion.minor);
  header.write_u32(0);
  if (auto written = impl->put(header.bytes()); !written) return written.error();
  return PackWriter(std::move(impl));
}

Status PackWriter::add(const std::string& path, int fd, u64 size, const std::string& source) {
  Impl& i = *impl_;
  const auto kind = classify_pack_path(path);
  RONDO_ASSERT(kind);
  if (size > max_bytes(*kind)) return file_error(source, "is too large to be packed");
  StateWriter header;
  header.write_u32(kEntryMagic);
  header.write_u16(static_cast<u16>(path.size()));
  header.write_u16(0);
  header.write_u64(size);
  for (const char c : path) header.write_u8(static_cast<u8>(c));
  header.write_u64(digest64(header.bytes()));
  if (auto written = i.put(header.bytes()); !written) return written;

  ZSTD_CCtx_reset(i.compression.get(), ZSTD_reset_session_only);
  ZSTD_CCtx_setPledgedSrcSize(i.compression.get(), size);
  Sha256 content;
  std::vector<u8> in(kBufferBytes), out(ZSTD_CStreamOutSize());
  u64 done = 0;
  bool frame_ended = false;
  while (!frame_ended) {
    const u64 wanted = std::min<u64>(in.size(), size - done);
    const auto got = read_at(fd, done, std::span(in).first(wanted), source);
    if (!got) return got.error();
    if (*got != wanted) return file_error(source, "became shorter while it was packed");
    done += *got;
    content.add(std::span(in).first(*got));
    const bool last = done == size;
    ZSTD_inBuffer input{in.data(), *got, 0};
    while (input.pos < input.size || (last && !frame_ended)) {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      const u64 left = ZSTD_compressStream2(i.compression.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
      RONDO_ASSERT(!ZSTD_isError(left));
      if (auto written = i.put(std::span(out).first(output.pos)); !written) return written;
      frame_ended = last && left == 0;
    }
  }
  ++i.entries;
  return i.put(content.finish());
}

Result<u64> PackWriter::finish() {
  Impl& i = *impl_;
  StateWriter trailer;
  trailer.write_u32(kEndMagic);
  trailer.write_u32(i.entries);
  if (auto written = i.put(trailer.bytes()); !written) return written.error();
  if (auto written = i.put(i.whole.finish()); !written) return written.error();
  if (auto committed = i.file.commit(true); !committed) return committed.error();
  return i.bytes;
}

// ---- reading ----

namespace {

// The file through a buffer; hashes what was consumed.
class Input {
 public:
  Input(int fd, const std::string& name) : fd_(fd), name_(name), buffer_(kBufferBytes) {}

  // At least `wanted` bytes unless the file ends before; wanted <= kBufferBytes.
  Result<std::span<const u8>> peek(u64 wanted) {
    if (end_ - begin_ < wanted) {
      std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
                buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
      end_ -= begin_;
      begin_ = 0;
      const auto got = read_at(fd_, offset_, std::span(buffer_).subspan(end_), name_);
      if (!got) return got.error();
      offset_ += *got;
      end_ += *got;
    }
    return std::span<const u8>(buffer_).subspan(begin_, end_ - begin_);
  }
  void consume(u64 bytes) {
    whole_.add(std::span(buffer_).subspan(begin_, bytes));
    begin_ += bytes;
    consumed_ += bytes;
  }
  // Exactly this many bytes, consumed; they hold until the next call.
  Result<std::span<const u8>> take(u64 bytes) {
    auto got = peek(bytes);
    if (!got) return got.error();
    if (got->size() < bytes) return file_error(name_, "is damaged: it ends too early");
    consume(bytes);
    return got->first(bytes);
  }
  Sha256Digest digest() { return whole_.finish(); }
  u64 consumed() const { return consumed_; }

 private:
  int fd_;
  const std::string& name_;
  std::vector<u8> buffer_;
  u64 begin_ = 0, end_ = 0;  // what is buffered and not consumed
  u64 offset_ = 0;           // in the file, of the end of the buffer
  u64 consumed_ = 0;
  Sha256 whole_;
};

Status damaged(const std::string& name, const std::string& why) { return file_error(name, "is damaged: " + why); }

// The compressed content of one entry and its hash.
Status read_content(Input& input, ZSTD_DCtx* decompression, u64 size, const std::string& name, const std::string& path,
                    PackSink& sink) {
  ZSTD_DCtx_reset(decompression, ZSTD_reset_session_only);
  Sha256 content;
  std::vector<u8> out(kBufferBytes);
  u64 done = 0;
  bool frame_ended = false;
  while (!frame_ended) {
    const auto bytes = input.peek(1);
    if (!bytes) return bytes.error();
    if (bytes->empty()) return damaged(name, "it ends too early");
    ZSTD_inBuffer in{bytes->data(), bytes->size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const u64 left = ZSTD_decompressStream(decompression, &output, &in);
    if (ZSTD_isError(left)) return damaged(name, "'" + path + "' cannot be unpacked");
    if (in.pos == 0 && output.pos == 0) return damaged(name, "'" + path + "' cannot be unpacked");
    frame_ended = left == 0;
    done += output.pos;
    if (done > size) return damaged(name, "'" + path + "' is longer than it says");
    input.consume(in.pos);
    const auto piece = std::span<const u8>(out).first(output.pos);
    content.add(piece);
    if (auto taken = sink.data(piece); !taken) return taken;
  }
  if (done != size) return damaged(name, "'" + path + "' is shorter than it says");
  const auto expected = input.take(sizeof(Sha256Digest));
  if (!expected) return expected.error();
  const Sha256Digest found = content.finish();
  if (!std::equal(found.begin(), found.end(), expected->begin()))
    return damaged(name, "the hash of '" + path + "' is wrong");
  return sink.end();
}

struct EntryHeader {
  PackPath kind;
  std::string path;
  u64 bytes;
};

Result<EntryHeader> read_entry_header(Input& input, const std::string& name) {
  const auto fixed = input.peek(kEntryFixedBytes);
  if (!fixed) return fixed.error();
  StateReader reader(*fixed);
  const u32 magic = reader.read_u32();
  const u64 path_bytes = reader.read_u16();
  reader.read_u16();
  const u64 size = reader.read_u64();
  if (!reader.ok()) return file_error(name, "is damaged: it ends too early");
  if (magic != kEntryMagic || path_bytes > kMaxPathBytes)
    return file_error(name, "is damaged: no entry where one should be");
  const auto header = input.take(kEntryFixedBytes + path_bytes + 8);
  if (!header) return header.error();
  StateReader digest(header->last(8));
  if (digest.read_u64() != digest64(header->first(header->size() - 8))) {
    return file_error(name, "is damaged: the digest of an entry is wrong");
  }
  const auto path = header->subspan(kEntryFixedBytes, path_bytes);
  EntryHeader entry{PackPath::manifest, {path.begin(), path.end()}, size};
  const auto kind = classify_pack_path(entry.path);
  if (!kind) return file_error(name, "holds a path that no recording has: nothing was unpacked");
  entry.kind = *kind;
  if (size > max_bytes(*kind)) return file_error(name, "'" + entry.path + "' in it is larger than such a file may be");
  return entry;
}

}  // namespace

Result<PackTotals> read_pack(const std::string& name, PackSink& sink) {
  const auto fd = open_regular(name);
  if (!fd) return fd.error();
  return read_pack(fd->get(), name, sink);
}

Result<PackTotals> read_pack(int fd, const std::string& name, PackSink& sink) {
  Input input(fd, name);
  const auto header = input.peek(kHeaderBytes);
  if (!header) return header.error();
  if (header->size() < kHeaderBytes || !std::equal(kMagic.begin(), kMagic.end(), header->begin())) {
    return file_error(name, "is not a packed recording");
  }
  StateReader reader(header->subspan(kMagicBytes));
  FormatVersion version;
  version.major = reader.read_u16();
  version.minor = reader.read_u16();
  if (version.major != kFormatVersion.major) return version_error(version, name);
  input.consume(kHeaderBytes);

  const std::unique_ptr<ZSTD_DCtx, FreeZstd> decompression(ZSTD_createDCtx());
  RONDO_ASSERT(decompression);
  ZSTD_DCtx_setParameter(decompression.get(), ZSTD_d_windowLogMax, kWindowLog);
  PackTotals totals;
  std::set<std::string> seen;
  while (true) {
    const auto magic = input.peek(4);
    if (!magic) return magic.error();
    StateReader next(*magic);
    if (next.read_u32() == kEndMagic) break;
    auto entry = read_entry_header(input, name);
    if (!entry) return entry.error();
    if (!seen.insert(entry->path).second) return file_error(name, "is damaged: it holds '" + entry->path + "' twice");
    if (++totals.entries > kMaxEntries) return file_error(name, "is damaged: it holds too many files");
    totals.unpacked_bytes += entry->bytes;
    if (auto begun = sink.begin(entry->kind, entry->path, entry->bytes); !begun) return begun.error();
    if (auto read = read_content(input, decompression.get(), entry->bytes, name, entry->path, sink); !read)
      return read.error();
  }
  const auto trailer = input.take(8);
  if (!trailer) return trailer.error();
  StateReader end(*trailer);
  end.read_u32();
  const u32 entries = end.read_u32();
  const Sha256Digest found = input.digest();
  const auto expected = input.take(sizeof(Sha256Digest));
  if (!expected) return expected.error();
  if (entries != totals.entries || !std::equal(found.begin(), found.end(), expected->begin())) {
    return file_error(name, "is damaged: the hash of the whole file is wrong");
  }
  const auto rest = input.peek(1);
  if (!rest) return rest.error();
  if (!rest->empty()) return file_error(name, "is damaged: something follows its end");
  if (!seen.contains(kManifestName)) return file_error(name, "is damaged: it holds no manifest");
  totals.packed_bytes = input.consumed();
  return totals;
}

std::optional<FormatVersion> pack_version(const std::string& name) { return version_in_header(kMagic, name); }

}  // namespace rondo::replay
