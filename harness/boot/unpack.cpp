#include "harness/boot/unpack.h"

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "harness/boot/bytes.h"

namespace rondo::boot {
namespace {

constexpr u64 kPiece = u64{1} << 20;
constexpr u64 kLz4Block = u64{8} << 20;         // the block size of the legacy frame format
constexpr u64 kDecoderMemory = u64{192} << 20;  // xz -9 needs 65 MB; zstd's window is bounded below
constexpr int kZstdWindowLog = 27;              // 128 MB: what `zstd -22 --ultra`, used for kernels, can ask for

Error damaged(std::string_view format) { return Error{"the " + std::string(format) + " payload is damaged"}; }

// Counts the output against the limit before it passes it on.
class BoundedSink {
 public:
  BoundedSink(u64 max_bytes, const Sink& sink) : left_(max_bytes), max_(max_bytes), sink_(sink) {}
  Status put(std::span<const u8> bytes) {
    if (bytes.size() > left_)
      return Error{"the payload unpacks to more than the " + std::to_string(max_) + " bytes there is room for"};
    left_ -= bytes.size();
    return bytes.empty() ? success() : sink_(bytes);
  }

 private:
  u64 left_;
  u64 max_;
  const Sink& sink_;
};

// The legacy frame: a magic number, then blocks that each unpack to 8 MB or less, each after its 4-byte length.
Status unpack_lz4(std::span<const u8> in, BoundedSink& out) {
  const auto block = std::make_unique_for_overwrite<u8[]>(kLz4Block);
  in = in.subspan(4);
  while (in.size() > 4) {  // the last four bytes are the length that the kernel's build appends
    const u32 length = field<u32>(in, 0);
    in = in.subspan(4);
    if (length == 0 || length > in.size() || length > static_cast<u32>(LZ4_COMPRESSBOUND(kLz4Block)))
      return damaged("lz4");
    const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(block.get()),
                                        static_cast<int>(length), static_cast<int>(kLz4Block));
    if (got < 0) return damaged("lz4");
    if (Status put = out.put({block.get(), static_cast<u64>(got)}); !put) return put;
    in = in.subspan(length);
  }
  return success();
}

Status unpack_zstd(std::span<const u8> in, BoundedSink& out) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (!context) return Error{"no memory for the zstd decoder"};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  const auto piece = std::make_unique_for_overwrite<u8[]>(kPiece);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  while (true) {
    ZSTD_outBuffer output{piece.get(), kPiece, 0};
    const size_t before = input.pos;
    const size_t result = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(result)) return damaged("zstd");
    if (Status put = out.put({piece.get(), output.pos}); !put) return put;
    if (result == 0) return success();                                   // the end of the frame
    if (output.pos == 0 && input.pos == before) return damaged("zstd");  // wants input that is not there
  }
}

Status unpack_gzip(std::span<const u8> in, BoundedSink& out) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return Error{"no memory for the gzip decoder"};
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, &inflateEnd);
  const auto piece = std::make_unique_for_overwrite<u8[]>(kPiece);
  stream.next_in = const_cast<u8*>(in.data());
  u64 input_left = in.size();
  while (true) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min<u64>(input_left, u64{1} << 30));
      input_left -= stream.avail_in;
    }
    stream.next_out = piece.get();
    stream.avail_out = kPiece;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END) return damaged("gzip");
    if (Status put = out.put({piece.get(), kPiece - stream.avail_out}); !put) return put;
    if (result == Z_STREAM_END) return success();
  }
}

Status unpack_lzma(std::span<const u8> in, BoundedSink& out, Compression compression) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const lzma_ret started = compression == Compression::xz ? lzma_stream_decoder(&stream, kDecoderMemory, 0)
                                                          : lzma_alone_decoder(&stream, kDecoderMemory);
  if (started != LZMA_OK) return Error{"no memory for the xz decoder"};
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> guard(&stream, &lzma_end);
  const auto piece = std::make_unique_for_overwrite<u8[]>(kPiece);
  stream.next_in = in.data();
  stream.avail_in = in.size();
  while (true) {
    stream.next_out = piece.get();
    stream.avail_out = kPiece;
    const lzma_ret result = lzma_code(&stream, LZMA_FINISH);
    if (result != LZMA_OK && result != LZMA_STREAM_END) return damaged(to_string(compression));
    if (Status put = out.put({piece.get(), kPiece - stream.avail_out}); !put) return put;
    if (result == LZMA_STREAM_END) return success();
  }
}

bool starts_with(std::span<const u8> bytes, std::initializer_list<u8> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

}  // namespace

Compression detect_compression(std::span<const u8> payload) {
  if (starts_with(payload, {0x7f, 'E', 'L', 'F'})) return Compression::none;
  if (starts_with(payload, {0x02, 0x21, 0x4c, 0x18})) return Compression::lz4;
  if (starts_with(payload, {0x28, 0xb5, 0x2f, 0xfd})) return Compression::zstd;
  if (starts_with(payload, {0x1f, 0x8b})) return Compression::gzip;
  if (starts_with(payload, {0xfd, '7', 'z', 'X', 'Z', 0x00})) return Compression::xz;
  if (starts_with(payload, {0x5d, 0x00, 0x00})) return Compression::lzma;
  return Compression::unknown;
}

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "uncompressed";
    case Compression::lz4:
      return "lz4";
    case Compression::zstd:
      return "zstd";
    case Compression::gzip:
      return "gzip";
    case Compression::xz:
      return "xz";
    case Compression::lzma:
      return "lzma";
    case Compression::unknown:
      break;
  }
  return "unknown";
}

Status unpack(std::span<const u8> payload, u64 max_bytes, const Sink& sink) {
  BoundedSink out(max_bytes, sink);
  switch (const Compression compression = detect_compression(payload)) {
    case Compression::none:
      return out.put(payload);
    case Compression::lz4:
      return unpack_lz4(payload, out);
    case Compression::zstd:
      return unpack_zstd(payload, out);
    case Compression::gzip:
      return unpack_gzip(payload, out);
    case Compression::xz:
    case Compression::lzma:
      return unpack_lzma(payload, out, compression);
    case Compression::unknown:
      break;
  }
  return Error{"the payload's compression is not known"};
}

}  // namespace rondo::boot
