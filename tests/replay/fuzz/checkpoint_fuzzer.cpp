// libFuzzer: a checkpoint's parts. The first byte says which: a whole file, a head whose digest fits, a page table, a
// content table. What decodes must decode to the same again when encoded.
#include <cstdlib>
#include <cstring>

#include "replay/checkpoint/checkpoint_file.h"
#include "replay/format/envelope.h"

namespace {

using namespace rondo;
using namespace rondo::replay;

class InMemory final : public RandomAccess {
 public:
  explicit InMemory(std::span<const u8> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  u64 size() const override { return bytes_.size(); }
  bool read(u64 offset, std::span<u8> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) return false;
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return true;
  }

 private:
  std::vector<u8> bytes_;
};

void whole_file(std::span<const u8> input) {
  auto file = CheckpointFile::open(std::make_unique<InMemory>(input), "input");
  if (!file) return;
  static_cast<void>(file->read_state());
  static_cast<void>(file->pages());
  const auto contents = file->contents();
  if (!contents) return;
  FrameReader reader;
  for (const Frame& frame : (*contents)->frames) static_cast<void>(file->read_frame(frame, reader));
}

void head(std::span<const u8> input) {
  const auto head = decode_head(wrap("RONDOCKH", input), "input");
  if (!head) return;
  const auto again = decode_head(encode_head(*head), "again");
  if (!again || *again != *head) std::abort();
}

void tables(bool of_pages, std::span<const u8> input) {
  if (of_pages) {
    const auto pages = decode_pages(input);
    if (pages && !std::equal(input.begin(), input.end(), encode_pages(*pages).begin())) std::abort();
    return;
  }
  const auto contents = decode_contents(input, kCheckpointMagic.size(), 1 << 20);
  if (contents && !std::equal(input.begin(), input.end(), encode_contents(*contents).begin())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const u8> rest(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      whole_file(rest);
      break;
    case 1:
      head(rest);
      break;
    default:
      tables(data[0] % 4 == 2, rest);
  }
  return 0;
}
