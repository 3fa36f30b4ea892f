// libFuzzer: the bytes of a connection, from its beginning.
#include <cstdint>

#include "tests/gdb/fuzzed_stub.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rondo::gdb::FuzzedStub stub;
  // Lines are packets, so that the fuzzer need not find checksums.
  std::string packet;
  for (std::size_t i = 0; i <= size; ++i) {
    if (i < size && data[i] != '\n') {
      packet += static_cast<char>(data[i]);
      continue;
    }
    const std::string bytes = rondo::gdb::frame(packet);
    stub.feed({reinterpret_cast<const rondo::u8*>(bytes.data()), bytes.size()});
    packet.clear();
  }
  stub.feed({data, size});
  return 0;
}
