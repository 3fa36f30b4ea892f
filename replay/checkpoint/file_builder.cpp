#include "replay/checkpoint/file_builder.h"

#include "core/state/hash.h"
#include "core/state/stream.h"
#include "replay/checkpoint/checkpoint_file.h"

namespace rondo::replay {

static_assert(kFramePages <= kMaxFramePages);

Result<CheckpointFileBuilder> CheckpointFileBuilder::create(const std::string& path, Compressor& compressor) {
  auto file = AtomicFile::create(path);
  if (!file) return file.error();
  CheckpointFileBuilder builder(std::move(*file), compressor);
  const auto* magic = reinterpret_cast<const u8*>(kCheckpointMagic.data());
  if (auto written = builder.append({magic, kCheckpointMagic.size()}); !written) return written.error();
  return builder;
}

Status CheckpointFileBuilder::append(std::span<const u8> bytes) {
  size_ += bytes.size();
  return file_.write(bytes);
}

Status CheckpointFileBuilder::add_page(const Hash128& hash, std::span<const u8, kPageSize> bytes) {
  open_frame_.insert(open_frame_.end(), bytes.begin(), bytes.end());
  open_hashes_.push_back(hash);
  return open_hashes_.size() == kFramePages ? end_frame() : success();
}

Status CheckpointFileBuilder::end_frame() {
  if (open_hashes_.empty()) return success();
  Status written = add_stored_frame(compressor_->compress(open_frame_), open_hashes_);
  open_frame_.clear();
  open_hashes_.clear();
  return written;
}

Status CheckpointFileBuilder::add_stored_frame(std::span<const u8> stored, std::span<const Hash128> hashes) {
  contents_.frames.push_back(
      {size_, static_cast<u32>(stored.size()), static_cast<u32>(hashes.size()), contents_.hashes.size()});
  contents_.hashes.insert(contents_.hashes.end(), hashes.begin(), hashes.end());
  return append(stored);
}

Result<CheckpointPart> CheckpointFileBuilder::append_part(std::span<const u8> bytes) {
  const CheckpointPart part{size_, bytes.size(), hash128(bytes)};
  if (auto written = append(bytes); !written) return written.error();
  return part;
}

Result<Hash128> CheckpointFileBuilder::finish(std::span<const u8> state, std::span<const PageEntry> pages,
                                              CheckpointHead head) {
  if (auto ended = end_frame(); !ended) return ended.error();
  const auto state_part = append_part(state);
  if (!state_part) return state_part.error();
  const auto page_part = append_part(encode_pages(pages));
  if (!page_part) return page_part.error();
  const auto content_part = append_part(encode_contents(contents_));
  if (!content_part) return content_part.error();
  head.state = *state_part;
  head.pages = *page_part;
  head.contents = *content_part;
  const u64 head_offset = size_;
  if (auto written = append(encode_head(head)); !written) return written.error();
  StateWriter trailer;
  trailer.write_u64(head_offset);
  trailer.write_u64(size_ + kTrailerBytes);
  if (auto written = append(trailer.bytes()); !written) return written.error();
  if (auto committed = file_.commit(false); !committed) return committed.error();
  return head.identity();
}

}  // namespace rondo::replay
