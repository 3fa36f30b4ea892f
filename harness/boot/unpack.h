// Unpacks the payload of a compressed kernel, as a stream of bounded length.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::boot {

enum class Compression : u8 { none, lz4, zstd, gzip, xz, lzma, unknown };

// By the magic numbers that the kernel's build uses (lib/decompress.c knows the same).
Compression detect_compression(std::span<const u8> payload);
std::string_view to_string(Compression compression);

// Takes the next piece of the output, in order. An error ends the unpacking.
using Sink = std::function<Status(std::span<const u8>)>;

// Feeds the unpacked payload to `sink`. Fails on damaged input and when there is more than max_bytes of output. The
// input is not trusted. Bytes after the compressed stream (the kernel's build appends the length) are ignored.
Status unpack(std::span<const u8> payload, u64 max_bytes, const Sink& sink);

}  // namespace rondo::boot
