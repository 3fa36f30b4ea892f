// Tiny boot images, made to measure.
#pragma once

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/types.h"

namespace rondo::images {

using Bytes = std::vector<u8>;

// Not inlined: g++ 12 warns of overflows in resize() that cannot happen.
template <class T>
[[gnu::noinline]] void put(Bytes& bytes, u64 offset, T value) {
  if (bytes.size() < offset + sizeof value) bytes.resize(offset + sizeof value);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

struct Segment {
  u64 address = 0;
  Bytes content;
  u64 memory_size = 0;  // 0: as long as the content
};

inline Bytes pattern(u64 size, u8 first = 1) {
  Bytes bytes(size);
  for (u64 i = 0; i < size; ++i) bytes[i] = static_cast<u8>(first + i * 7 + (i >> 8));
  return bytes;
}

inline Bytes elf64(const std::vector<Segment>& segments, u64 entry, u16 machine = 62) {
  Bytes out(64 + 56 * segments.size());
  std::memcpy(out.data(), "\x7f\x45LF\2\1\1", 7);
  put<u16>(out, 16, 2), put<u16>(out, 18, machine), put<u32>(out, 20, 1), put<u64>(out, 24, entry),
      put<u64>(out, 32, 64);
  put<u16>(out, 52, 64), put<u16>(out, 54, 56), put<u16>(out, 56, static_cast<u16>(segments.size()));
  for (u64 i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    const u64 header = 64 + 56 * i;
    put<u32>(out, header, 1), put<u32>(out, header + 4, 7), put<u64>(out, header + 8, out.size());
    put<u64>(out, header + 16, s.address), put<u64>(out, header + 24, s.address),
        put<u64>(out, header + 32, s.content.size());
    put<u64>(out, header + 40, s.memory_size ? s.memory_size : s.content.size());
    out.insert(out.end(), s.content.begin(), s.content.end());
  }
  return out;
}

struct Section {
  u64 file_offset = 0;
  u64 size = 0;
  u32 type = 1;   // SHT_PROGBITS
  u64 flags = 6;  // SHF_ALLOC, SHF_EXECINSTR
};

// The same ELF64 file with section headers at its end.
inline Bytes with_sections(Bytes elf, const std::vector<Section>& sections) {
  const u64 table = elf.size();
  put<u64>(elf, 40, table), put<u16>(elf, 58, 64), put<u16>(elf, 60, static_cast<u16>(sections.size()));
  elf.resize(table + 64 * sections.size());
  for (u64 i = 0; i < sections.size(); ++i) {
    const u64 header = table + 64 * i;
    put<u32>(elf, header + 4, sections[i].type), put<u64>(elf, header + 8, sections[i].flags);
    put<u64>(elf, header + 24, sections[i].file_offset), put<u64>(elf, header + 32, sections[i].size);
  }
  return elf;
}

inline Bytes elf32(const std::vector<Segment>& segments, u32 entry) {
  Bytes out(52 + 32 * segments.size());
  std::memcpy(out.data(), "\x7f\x45LF\1\1\1", 7);
  put<u16>(out, 16, 2), put<u16>(out, 18, 3), put<u32>(out, 20, 1), put<u32>(out, 24, entry), put<u32>(out, 28, 52);
  put<u16>(out, 40, 52), put<u16>(out, 42, 32), put<u16>(out, 44, static_cast<u16>(segments.size()));
  for (u64 i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    const u64 header = 52 + 32 * i;
    put<u32>(out, header, 1), put<u32>(out, header + 4, static_cast<u32>(out.size())),
        put<u32>(out, header + 8, static_cast<u32>(s.address));
    put<u32>(out, header + 12, static_cast<u32>(s.address)),
        put<u32>(out, header + 16, static_cast<u32>(s.content.size()));
    put<u32>(out, header + 20, static_cast<u32>(s.memory_size ? s.memory_size : s.content.size()));
    out.insert(out.end(), s.content.begin(), s.content.end());
  }
  return out;
}

// The content of a segment that begins with a multiboot header.
inline Bytes multiboot_content(u32 header_flags = 3, u64 size = 256) {
  Bytes content = pattern(size);
  put<u32>(content, 0, 0x1badb002), put<u32>(content, 4, header_flags),
      put<u32>(content, 8, 0 - 0x1badb002 - header_flags);
  return content;
}

inline Bytes pack_lz4(const Bytes& in) {  // the legacy frame, one block
  Bytes out(8 + static_cast<u64>(LZ4_compressBound(static_cast<int>(in.size()))));
  const int size =
      LZ4_compress_default(reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data() + 8),
                           static_cast<int>(in.size()), static_cast<int>(out.size() - 8));
  put<u32>(out, 0, 0x184c2102), put<u32>(out, 4, static_cast<u32>(size));
  out.resize(8 + static_cast<u64>(size));
  return out;
}

inline Bytes pack_zstd(const Bytes& in) {
  Bytes out(ZSTD_compressBound(in.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  return out;
}

inline Bytes pack_gzip(const Bytes& in) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, in.size()) + 64);
  stream.next_in = const_cast<u8*>(in.data()), stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data(), stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Bytes pack_xz(const Bytes& in) {  // with the x86 filter, as the kernel's build does
  lzma_options_lzma options;
  lzma_lzma_preset(&options, 6);
  const lzma_filter filters[] = {
      {LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes out(lzma_stream_buffer_bound(in.size()) + 4096);
  size_t position = 0;
  if (lzma_stream_buffer_encode(const_cast<lzma_filter*>(filters), LZMA_CHECK_CRC32, nullptr, in.data(), in.size(),
                                out.data(), &position, out.size()) != LZMA_OK) {
    return {};
  }
  out.resize(position);
  return out;
}

inline constexpr u64 kPayloadOffset = 0x300;  // in the protected-mode part

// A bzImage with this payload; unpacked_size is appended to it as the kernel's build does.
inline Bytes bzimage(Bytes payload, u32 unpacked_size, u32 init_size = 0x400000) {
  put<u32>(payload, payload.size(), unpacked_size);
  Bytes out(2 * 512 + kPayloadOffset);
  out[0x1f1] = 1;  // setup sectors
  put<u16>(out, 0x1fe, 0xaa55), put<u16>(out, 0x200, 0x66eb), put<u32>(out, 0x202, 0x53726448),
      put<u16>(out, 0x206, 0x020f);
  out[0x211] = 1;  // LOADED_HIGH
  put<u32>(out, 0x22c, 0x7fffffff), put<u32>(out, 0x230, 0x200000);
  out[0x234] = 1;
  put<u16>(out, 0x236, 1), put<u32>(out, 0x238, 2047), put<u32>(out, 0x248, static_cast<u32>(kPayloadOffset));
  put<u32>(out, 0x24c, static_cast<u32>(payload.size())), put<u64>(out, 0x258, u64{0x1000000}),
      put<u32>(out, 0x260, init_size);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

}  // namespace rondo::images
