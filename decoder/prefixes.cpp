#include "decoder/prefixes.h"

#include <algorithm>
#include <array>

#include "decoder/decoder.h"

namespace rondo::decoder {
namespace {

enum Kind : std::uint8_t { opcode, segment, operand_size, address_size, lock, repeat, rex };

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> kinds{};
  for (const unsigned byte : {0x26U, 0x2eU, 0x36U, 0x3eU, 0x64U, 0x65U}) kinds[byte] = segment;
  kinds[0x66] = operand_size;
  kinds[0x67] = address_size;
  kinds[0xf0] = lock;
  kinds[0xf2] = kinds[0xf3] = repeat;
  for (unsigned byte = 0x40; byte < 0x50; ++byte) kinds[byte] = rex;
  return kinds;
}

constexpr auto kKinds = make_kinds();

std::uint8_t segment_number(std::uint8_t byte) {
  // 26, 2E, 36, 3E are ES, CS, SS, DS; 64 and 65 are FS and GS.
  return byte >= 0x64 ? static_cast<std::uint8_t>(byte - 0x60) : static_cast<std::uint8_t>((byte - 0x26) >> 3);
}

}  // namespace

Prefixes scan_prefixes(std::span<const std::uint8_t> bytes, CodeMode mode) {
  Prefixes prefixes;
  const std::size_t limit = std::min<std::size_t>(bytes.size(), kMaxInstructionBytes);
  std::size_t at = 0;
  for (; at < limit; ++at) {
    const std::uint8_t byte = bytes[at];
    const Kind kind = kKinds[byte];
    if (kind == opcode || (kind == rex && mode != CodeMode::bits64)) break;
    prefixes.rex = 0;
    switch (kind) {
      case segment:
        if (mode != CodeMode::bits64 || byte >= 0x64) prefixes.segment = segment_number(byte);
        break;
      case operand_size:
        prefixes.operand_size = true;
        break;
      case address_size:
        prefixes.address_size = true;
        break;
      case lock:
        prefixes.lock = true;
        break;
      case repeat:
        prefixes.repeat = byte;
        break;
      case rex:
        prefixes.rex = byte;
        break;
      case opcode:
        break;
    }
  }
  prefixes.length = static_cast<std::uint8_t>(at);
  return prefixes;
}

}  // namespace rondo::decoder
