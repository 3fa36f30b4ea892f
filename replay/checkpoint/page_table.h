// The two tables of a checkpoint file: which pages changed, and which contents the file stores. Both are plain arrays
// of little-endian numbers: hashes do not compress, and a reader's memory then stays within the size of the file.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/memory/page_map.h"
#include "core/state/hash.h"

namespace rondo::replay {

// A page that differs from the checkpoint that the file builds on. A zero hash: the page became zero.
struct PageEntry {
  u64 index = 0;
  Hash128 hash;
  bool is_zero() const { return hash == Hash128{}; }
  bool operator==(const PageEntry&) const = default;
};

inline constexpr u64 kPageEntryBytes = 8 + 16;

std::vector<u8> encode_pages(std::span<const PageEntry> entries);
// None unless the indices ascend and are below PageMap::kMaximumPages.
std::optional<std::vector<PageEntry>> decode_pages(std::span<const u8> bytes);

// What holds after the changes of `older` and then of `newer`.
std::vector<PageEntry> overlay(std::span<const PageEntry> older, std::span<const PageEntry> newer);
// The same for a whole chain, oldest first, without the pages that are zero in the end.
std::vector<PageEntry> overlay_all(std::span<const std::span<const PageEntry>> tables);

// A frame: up to kMaxFramePages pages compressed together.
struct Frame {
  u64 offset = 0;        // in the file
  u32 stored_bytes = 0;  // compressed
  u32 pages = 0;
  u64 first = 0;  // number of its first page among the file's stored pages
};

inline constexpr u32 kMaxFramePages = 256;

// The contents that a file stores, in the order in which they are stored.
struct ContentTable {
  std::vector<Frame> frames;
  std::vector<Hash128> hashes;
};

std::vector<u8> encode_contents(const ContentTable& contents);
// `frames_start`: where the first frame begins. None if the table is malformed or a frame reaches beyond frames_end.
std::optional<ContentTable> decode_contents(std::span<const u8> bytes, u64 frames_start, u64 frames_end);

}  // namespace rondo::replay
