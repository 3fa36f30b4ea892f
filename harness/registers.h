// A vCPU's state as a list of named values, for people: traces and divergence reports.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/cpu/state.h"

namespace rondo {

struct RegisterValue {
  std::string_view name;
  u64 low = 0;
  u64 high = 0;       // of the registers wider than 64 bits
  bool wide = false;  // 128-bit, or 80-bit (x87)
  bool operator==(const RegisterValue&) const = default;
};

// Every field, always the same ones in the same order: general registers first.
std::vector<RegisterValue> register_values(const CpuState& cpu);
// Hexadecimal, without a prefix.
std::string format_value(const RegisterValue& value);

}  // namespace rondo
