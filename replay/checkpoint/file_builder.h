// One checkpoint file, written: aside, part by part, and put in place when it is complete.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "replay/checkpoint/compression.h"
#include "replay/checkpoint/head.h"
#include "replay/checkpoint/page_table.h"
#include "replay/format/files.h"

namespace rondo::replay {

// Pages in one zstd frame: more compress better, fewer are quicker to get at.
inline constexpr u32 kFramePages = 32;

class CheckpointFileBuilder {
 public:
  static Result<CheckpointFileBuilder> create(const std::string& path, Compressor& compressor);

  // Stores a page's content. Frames fill up in the order of the calls.
  Status add_page(const Hash128& hash, std::span<const u8, kPageSize> bytes);
  // Ends the frame: pages of different fates had better not share one, so that a merge can copy or drop frames whole.
  Status end_frame();
  // Copies a frame of another file as it is there.
  Status add_stored_frame(std::span<const u8> stored, std::span<const Hash128> hashes);

  // Writes the other parts and puts the file in place. `state` is compressed already; the head's parts are filled in.
  // Returns the checkpoint's identity().
  Result<Hash128> finish(std::span<const u8> state, std::span<const PageEntry> pages, CheckpointHead head);

 private:
  CheckpointFileBuilder(AtomicFile file, Compressor& compressor) : file_(std::move(file)), compressor_(&compressor) {}
  Status append(std::span<const u8> bytes);
  Result<CheckpointPart> append_part(std::span<const u8> bytes);

  AtomicFile file_;
  Compressor* compressor_;
  u64 size_ = 0;
  ContentTable contents_;
  std::vector<u8> open_frame_;
  std::vector<Hash128> open_hashes_;
};

}  // namespace rondo::replay
