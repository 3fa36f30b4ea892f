// Command words of the 8259A (Intel 8259A data sheet, order number 231468).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::pic {

// Initialization command words. ICW1 and the OCW2/OCW3 share the even port and are told apart by bits 4:3.
inline constexpr u8 kIcw1Select = 0x10;
inline constexpr u8 kIcw1NeedIcw4 = 0x01;
inline constexpr u8 kIcw1Single = 0x02;
inline constexpr u8 kIcw2Base = 0xf8;
inline constexpr u8 kIcw4AutoEoi = 0x02;
inline constexpr u8 kIcw4FullyNested = 0x10;  // special fully nested mode

inline constexpr u8 kOcw3Select = 0x08;
inline constexpr u8 kOcw3ReadRegister = 0x02;
inline constexpr u8 kOcw3ReadIsr = 0x01;
inline constexpr u8 kOcw3Poll = 0x04;
inline constexpr u8 kOcw3EnableSpecialMask = 0x40;
inline constexpr u8 kOcw3SpecialMask = 0x20;

// OCW2, bits 7:5: R, SL, EOI.
enum class Ocw2 : u8 {
  clear_rotate_on_auto_eoi = 0,
  non_specific_eoi = 1,
  none = 2,
  specific_eoi = 3,
  set_rotate_on_auto_eoi = 4,
  rotate_on_non_specific_eoi = 5,
  set_priority = 6,
  rotate_on_specific_eoi = 7
};

inline constexpr u8 kPollPending = 0x80;
inline constexpr unsigned kCascadeInput = 2;
inline constexpr unsigned kSpuriousInput = 7;

// Edge/level control registers: IRQ0, 1, 2, 8 and 13 are always edge-triggered (Intel 82371SB, ELCR).
inline constexpr u16 kElcrWritable = 0xdef8;

}  // namespace rondo::devices::pic
