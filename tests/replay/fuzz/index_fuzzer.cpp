// libFuzzer: an index, as it is and with a digest that fits.
#include <cstdlib>

#include "replay/format/envelope.h"
#include "replay/format/index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rondo::replay;
  const std::span<const rondo::u8> input(data, size);
  static_cast<void>(decode_index(input, 0));
  const auto index = decode_index(wrap("RONDOIDX", input), 0);
  if (!index) return 0;
  const auto again = decode_index(encode_index(*index, 0), 0);
  if (!again || *again != *index) std::abort();
  return 0;
}
