// libFuzzer: a packed recording. What it gives must keep to the sizes and paths that it announced.
#include <sys/mman.h>

#include <cstdlib>

#include "replay/pack_stream.h"

namespace {

using namespace rondo;
using namespace rondo::replay;

class Checker final : public PackSink {
 public:
  Status begin(PackPath kind, const std::string& path, u64 bytes) override {
    if (classify_pack_path(path) != kind || bytes > max_bytes(kind)) std::abort();
    left_ = bytes;
    total_ += bytes;
    return total_ > (u64{64} << 20) ? Status(Error{"enough"}) : success();
  }
  Status data(std::span<const u8> bytes) override {
    if (bytes.size() > left_) std::abort();
    left_ -= bytes.size();
    return success();
  }
  Status end() override {
    if (left_ != 0) std::abort();
    return success();
  }

 private:
  u64 left_ = 0, total_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FileDescriptor file(::memfd_create("pack", MFD_CLOEXEC));
  if (!file || !write_all(file.get(), {data, size})) std::abort();
  Checker checker;
  static_cast<void>(read_pack(file.get(), "input", checker));
  return 0;
}
