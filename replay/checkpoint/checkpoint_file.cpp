#include "replay/checkpoint/checkpoint_file.h"

#include <algorithm>

#include "core/state/stream.h"

namespace rondo::replay {

Result<CheckpointFile> CheckpointFile::open(std::unique_ptr<RandomAccess> bytes, std::string path) {
  const u64 size = bytes->size();
  std::vector<u8> magic(kCheckpointMagic.size()), trailer(kTrailerBytes);
  if (!bytes->read(0, magic) || !std::equal(magic.begin(), magic.end(), kCheckpointMagic.begin())) {
    return file_error(path, "is not a checkpoint");
  }
  if (size < magic.size() + trailer.size() || !bytes->read(size - trailer.size(), trailer)) {
    return file_error(path, "is damaged: it is cut off");
  }
  StateReader reader(trailer);
  const u64 head_offset = reader.read_u64();
  const u64 head_end = size - trailer.size();
  if (reader.read_u64() != size || head_offset > head_end || head_end - head_offset > kMaxHeadBytes) {
    return file_error(path, "is damaged: it is cut off or has bytes too many");
  }
  std::vector<u8> head_bytes(head_end - head_offset);
  if (!bytes->read(head_offset, head_bytes)) return file_error(path, "cannot be read");
  auto head = decode_head(head_bytes, path);
  if (!head) return head.error();
  CheckpointFile file(std::move(bytes), std::move(path), std::move(*head));
  for (const CheckpointPart* part : {&file.head_.state, &file.head_.pages, &file.head_.contents}) {
    if (part->offset > head_offset || part->bytes > head_offset - part->offset) {
      return file.damaged("a part lies outside the file");
    }
  }
  return file;
}

Error CheckpointFile::damaged(const std::string& what) const { return file_error(path_, "is damaged: " + what); }

Result<std::vector<u8>> CheckpointFile::read_part(const CheckpointPart& part, const char* what) const {
  std::vector<u8> bytes(part.bytes);
  if (!bytes_->read(part.offset, bytes)) return file_error(path_, std::string("cannot be read: ") + what);
  if (hash128(bytes) != part.hash) return damaged(std::string("the hash of its ") + what + " is wrong");
  return bytes;
}

Result<std::vector<u8>> CheckpointFile::read_stored_state() const { return read_part(head_.state, "saved state"); }

Result<std::vector<u8>> CheckpointFile::read_state() const {
  if (head_.state_bytes > kMaxStateBytes) return damaged("its saved state is too long");
  const auto compressed = read_stored_state();
  if (!compressed) return compressed.error();
  std::vector<u8> state(head_.state_bytes);
  if (!Decompressor().decompress(*compressed, state)) return damaged("its saved state cannot be uncompressed");
  return state;
}

Result<const std::vector<PageEntry>*> CheckpointFile::pages() {
  if (!pages_) {
    const auto bytes = read_part(head_.pages, "page table");
    if (!bytes) return bytes.error();
    auto entries = decode_pages(*bytes);
    if (!entries) return damaged("its page table is malformed");
    pages_ = std::make_unique<std::vector<PageEntry>>(std::move(*entries));
  }
  return pages_.get();
}

Result<const ContentTable*> CheckpointFile::contents() {
  if (!contents_) {
    const auto bytes = read_part(head_.contents, "content table");
    if (!bytes) return bytes.error();
    auto table = decode_contents(*bytes, kCheckpointMagic.size(), head_.state.offset);
    if (!table) return damaged("its content table is malformed");
    contents_ = std::make_unique<ContentTable>(std::move(*table));
  }
  return contents_.get();
}

Status CheckpointFile::read_stored_frame(const Frame& frame, std::vector<u8>& out) const {
  if (frame.stored_bytes > compressed_bound(frame.pages * kPageSize)) return damaged("a frame is too long");
  out.resize(frame.stored_bytes);
  if (!bytes_->read(frame.offset, out)) return file_error(path_, "cannot be read: a frame");
  return success();
}

Status CheckpointFile::read_frame(const Frame& frame, FrameReader& reader) const {
  if (auto read = read_stored_frame(frame, reader.stored); !read) return read;
  reader.pages.resize(frame.pages * kPageSize);
  if (!reader.decompressor.decompress(reader.stored, reader.pages)) {
    return damaged("a frame of pages cannot be uncompressed");
  }
  return success();
}

}  // namespace rondo::replay
