// Every encoding that the decoder accepts as an operation to be compared, found by trying them all: opcode maps x
// mandatory prefixes x REX.W x register and memory forms of ModRM x its register field.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "decoder/decoder.h"
#include "tests/silicon/policy.h"

namespace rondo::silicon {

enum class OpcodeMap : u8 { one_byte, two_byte, map_0f38, map_0f3a };

// Encodings that differ only in register numbers or addressing mode.
struct Form {
  decoder::Operation operation = decoder::Operation::INVALID;
  OpcodeMap map = OpcodeMap::one_byte;
  u8 opcode = 0;
  u8 prefix = 0;  // 66, F2, F3 or none
  bool rex_w = false;
  bool has_modrm = false;
  bool memory = false;     // ModRM names memory
  u8 immediate_bytes = 0;  // after ModRM, SIB and displacement
  std::vector<u8> modrm;   // register forms: whole bytes; memory forms: register fields
};

struct Forms {
  // Only those whose name matches `filter` (all if empty). By operation.
  Forms(const std::string& filter, const Comparison& comparison);
  std::vector<std::vector<Form>> by_operation;
  // Those of the operations that make up most code: what engines fuse and whose flags they try not to compute.
  std::vector<std::vector<Form>> common;
  u64 form_count = 0;
  u64 encodings_tried = 0;
  std::map<std::string, u64> excluded_encodings;  // by reason
};

}  // namespace rondo::silicon
