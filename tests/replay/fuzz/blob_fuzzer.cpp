// libFuzzer: a blob's file. Whatever it says, no more than the limit comes out.
#include <sys/mman.h>

#include <cstdlib>

#include "replay/format/blob_store.h"
#include "replay/format/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rondo::replay;
  constexpr rondo::u64 kLimit = 1 << 20;
  FileDescriptor file(::memfd_create("blob", MFD_CLOEXEC));
  if (!file || !write_all(file.get(), {data, size})) std::abort();
  rondo::u64 bytes = 0;
  static_cast<void>(
      decode_blob(file.get(), "input", std::string(64, '0'), kLimit, [&](auto piece) { bytes += piece.size(); }));
  if (bytes > kLimit) std::abort();
  return 0;
}
