// One checkpoint file, read: nothing in it is believed before it is checked, and only what is asked for is read.
//
//   magic | frames of pages | saved state | page table | content table | head | trailer
//
// The trailer says where the head is; the head, where everything else is. docs/recording-format.md has the fields.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "replay/checkpoint/bytes.h"
#include "replay/checkpoint/compression.h"
#include "replay/checkpoint/head.h"
#include "replay/checkpoint/page_table.h"

namespace rondo::replay {

inline constexpr std::string_view kCheckpointMagic = "RONDOCKP";
inline constexpr u64 kTrailerBytes = 16;               // offset of the head, size of the file
inline constexpr u64 kMaxStateBytes = u64{256} << 20;  // of everything but memory

// What a thread needs to read frames; used again from one to the next.
struct FrameReader {
  Decompressor decompressor;
  std::vector<u8> stored;
  std::vector<u8> pages;
};

class CheckpointFile {
 public:
  // Reads and checks the head. `path` is for messages.
  static Result<CheckpointFile> open(std::unique_ptr<RandomAccess> bytes, std::string path);

  const CheckpointHead& head() const { return head_; }
  const std::string& path() const { return path_; }
  u64 size() const { return bytes_->size(); }
  const RandomAccess& bytes() const { return *bytes_; }

  Result<std::vector<u8>> read_state() const;
  Result<std::vector<u8>> read_stored_state() const;  // compressed
  // The tables are checked when they are first asked for, then remembered.
  Result<const std::vector<PageEntry>*> pages();
  Result<const ContentTable*> contents();
  // A frame of contents(), as stored and uncompressed (into reader.pages). The caller checks the pages' hashes.
  Status read_stored_frame(const Frame& frame, std::vector<u8>& out) const;
  Status read_frame(const Frame& frame, FrameReader& reader) const;

  // The error for something wrong in this file.
  Error damaged(const std::string& what) const;

 private:
  CheckpointFile(std::unique_ptr<RandomAccess> bytes, std::string path, CheckpointHead head)
      : bytes_(std::move(bytes)), path_(std::move(path)), head_(std::move(head)) {}
  Result<std::vector<u8>> read_part(const CheckpointPart& part, const char* what) const;

  std::unique_ptr<RandomAccess> bytes_;
  std::string path_;
  CheckpointHead head_;
  std::unique_ptr<std::vector<PageEntry>> pages_;
  std::unique_ptr<ContentTable> contents_;
};

}  // namespace rondo::replay
