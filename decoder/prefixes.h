// Legacy and REX prefixes (SDM 2A 2.1.1, 2.2.1).
#pragma once

#include <cstdint>
#include <span>

#include "decoder/instruction.h"

namespace rondo::decoder {

struct Prefixes {
  std::uint8_t length = 0;             // of all prefixes
  std::uint8_t rex = 0;                // 40..4F if it is the last one before the opcode, else 0
  std::uint8_t repeat = 0;             // F2 or F3, the last one; else 0
  std::uint8_t segment = kNoRegister;  // the last override
  bool operand_size = false;           // 66
  bool address_size = false;           // 67
  bool lock = false;                   // F0
};

// Scans at most 15 bytes. Where a group is repeated the last one counts; a REX that is not last is ignored; in 64-bit
// mode overrides of ES, CS, SS and DS are ignored, and do not cancel an earlier FS or GS.
Prefixes scan_prefixes(std::span<const std::uint8_t> bytes, CodeMode mode);

}  // namespace rondo::decoder
