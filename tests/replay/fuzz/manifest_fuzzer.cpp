// libFuzzer: a manifest, as it is and with a digest that fits. What decodes must decode to the same again when encoded.
#include <cstdlib>

#include "replay/format/envelope.h"
#include "replay/format/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rondo::replay;
  const std::span<const rondo::u8> input(data, size);
  static_cast<void>(decode_manifest(input, "input"));
  const auto manifest = decode_manifest(wrap(kManifestMagic, input), "input");
  if (!manifest) return 0;
  const auto again = decode_manifest(encode_manifest(*manifest), "again");
  if (!again || *again != *manifest) std::abort();
  return 0;
}
