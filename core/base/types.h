// Strong types for the quantities that must never be mixed up. docs/architecture.md has the vocabulary.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace rondo {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
__extension__ using u128 = unsigned __int128;
__extension__ using i128 = __int128;

// A number with a name: comparable, addable to plain offsets, never convertible to another such type by accident.
template <class Tag>
struct Quantity {
  u64 value = 0;

  constexpr Quantity() = default;
  constexpr explicit Quantity(u64 v) : value(v) {}
  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator+(u64 offset) const { return Quantity{value + offset}; }
  constexpr Quantity operator-(u64 offset) const { return Quantity{value - offset}; }
  constexpr u64 operator-(Quantity other) const { return value - other.value; }
  constexpr Quantity& operator+=(u64 offset) { value += offset; return *this; }
};

using GuestPhys = Quantity<struct GuestPhysTag>;    // guest-physical address, bytes
using GuestLinear = Quantity<struct GuestLinearTag>;  // linear address (SDM 3A 3.1), bytes
using InstrCount = Quantity<struct InstrCountTag>;  // retired instructions since reset
using VirtualNs = Quantity<struct VirtualNsTag>;    // virtual nanoseconds since reset

inline constexpr u64 kPageSize = 4096;
inline constexpr u64 kPageMask = kPageSize - 1;
inline constexpr unsigned kPageShift = 12;

}  // namespace rondo
