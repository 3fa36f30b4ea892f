// Conditions of breakpoints, which gdb compiles to a bytecode so that the stub can decide by itself (GDB manual,
// appendix F).
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "core/base/types.h"

namespace rondo::gdb {

// What an expression may look at.
struct AgentContext {
  // A register by gdb's number; none: there is no such register.
  std::function<std::optional<u64>(unsigned number)> reg;
  // Little-endian bytes; false: not mapped.
  std::function<bool(u64 address, std::span<u8> out)> memory;
};

// The value left on the stack. None: it is malformed, divides by zero, looks at memory that is not there, or runs too
// long.
std::optional<u64> evaluate(std::span<const u8> expression, const AgentContext& context);

}  // namespace rondo::gdb
