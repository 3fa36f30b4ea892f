#include "replay/checkpoint/page_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/assert.h"

namespace rondo::replay {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are in the file");

template <class Number>
u8* put(u8* to, Number value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

template <class Number>
const u8* get(const u8* from, Number& value) {
  std::memcpy(&value, from, sizeof value);
  return from + sizeof value;
}

u8* put_hash(u8* to, const Hash128& hash) { return put(put(to, hash.low), hash.high); }
const u8* get_hash(const u8* from, Hash128& hash) { return get(get(from, hash.low), hash.high); }

// In halves, so that an entry is moved as often as the number of tables has bits.
std::vector<PageEntry> overlay_halves(std::span<const std::span<const PageEntry>> tables) {
  if (tables.empty()) return {};
  if (tables.size() == 1) return {tables[0].begin(), tables[0].end()};
  const u64 half = tables.size() / 2;
  return overlay(overlay_halves(tables.first(half)), overlay_halves(tables.subspan(half)));
}

constexpr u64 kHashBytes = 16;
constexpr u64 kFrameBytes = 4 + 4;

}  // namespace

std::vector<u8> encode_pages(std::span<const PageEntry> entries) {
  std::vector<u8> bytes(entries.size() * kPageEntryBytes);
  u8* to = bytes.data();
  for (const PageEntry& entry : entries) to = put_hash(put(to, entry.index), entry.hash);
  return bytes;
}

std::optional<std::vector<PageEntry>> decode_pages(std::span<const u8> bytes) {
  if (bytes.size() % kPageEntryBytes != 0) return std::nullopt;
  std::vector<PageEntry> entries(bytes.size() / kPageEntryBytes);
  const u8* from = bytes.data();
  u64 lowest = 0;  // that the next index may be
  for (PageEntry& entry : entries) {
    from = get_hash(get(from, entry.index), entry.hash);
    if (entry.index < lowest || entry.index >= PageMap::kMaximumPages) return std::nullopt;
    lowest = entry.index + 1;
  }
  return entries;
}

std::vector<PageEntry> overlay(std::span<const PageEntry> older, std::span<const PageEntry> newer) {
  std::vector<PageEntry> both;
  both.reserve(older.size() + newer.size());
  // Of equal elements set_union takes the first range's.
  std::set_union(newer.begin(), newer.end(), older.begin(), older.end(), std::back_inserter(both),
                 [](const PageEntry& a, const PageEntry& b) { return a.index < b.index; });
  return both;
}

std::vector<PageEntry> overlay_all(std::span<const std::span<const PageEntry>> tables) {
  std::vector<PageEntry> all = overlay_halves(tables);
  std::erase_if(all, [](const PageEntry& entry) { return entry.is_zero(); });
  return all;
}

std::vector<u8> encode_contents(const ContentTable& contents) {
  std::vector<u8> bytes(8 + contents.frames.size() * kFrameBytes + contents.hashes.size() * kHashBytes);
  u8* to = put(bytes.data(), static_cast<u64>(contents.frames.size()));
  for (const Frame& frame : contents.frames) to = put(put(to, frame.stored_bytes), frame.pages);
  for (const Hash128& hash : contents.hashes) to = put_hash(to, hash);
  return bytes;
}

std::optional<ContentTable> decode_contents(std::span<const u8> bytes, u64 frames_start, u64 frames_end) {
  u64 frame_count = 0;
  if (bytes.size() < sizeof frame_count) return std::nullopt;
  const u8* from = get(bytes.data(), frame_count);
  u64 left = bytes.size() - sizeof frame_count;
  if (frame_count > left / kFrameBytes) return std::nullopt;
  left -= frame_count * kFrameBytes;
  if (left % kHashBytes != 0) return std::nullopt;

  ContentTable contents;
  contents.frames.resize(frame_count);
  contents.hashes.resize(left / kHashBytes);
  u64 offset = frames_start, pages = 0;
  for (Frame& frame : contents.frames) {
    from = get(get(from, frame.stored_bytes), frame.pages);
    frame.offset = offset;
    frame.first = pages;
    if (frame.pages == 0 || frame.pages > kMaxFramePages) return std::nullopt;
    if (offset > frames_end || frame.stored_bytes > frames_end - offset) return std::nullopt;
    offset += frame.stored_bytes;
    pages += frame.pages;
  }
  if (pages != contents.hashes.size()) return std::nullopt;
  for (Hash128& hash : contents.hashes) from = get_hash(from, hash);
  return contents;
}

}  // namespace rondo::replay
