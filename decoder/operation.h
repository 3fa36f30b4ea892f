// What an instruction does. The list is generated from operations.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rondo::decoder {

// INVALID is every encoding that raises #UD: undefined, or outside the CPU model.
enum class Operation : std::uint16_t {
  INVALID,
#define RONDO_OPERATION(name) name,
#include "decoder/operations.inc"
#undef RONDO_OPERATION
};

inline constexpr std::size_t kOperationCount = 1
#define RONDO_OPERATION(name) +1
#include "decoder/operations.inc"
#undef RONDO_OPERATION
    ;

// The operation's name as in operations.txt ("ADD"); "INVALID" for INVALID.
std::string_view operation_name(Operation operation);

}  // namespace rondo::decoder
