// Encodes one instruction of a form with random registers, addressing mode, prefixes and immediates.
#pragma once

#include <optional>

#include "tests/silicon/forms.h"
#include "tests/silicon/random.h"

namespace rondo::silicon {

struct Encoded {
  std::array<u8, 32> bytes{};  // may be longer than 15 while it is being put together
  u8 length = 0;
  u8 displacement_at = 0;  // of ModRM; 0: none
  u8 displacement_bytes = 0;
  u8 immediate_at = 0;  // 0: none
  u8 immediate_bytes = 0;
};

// Which addressing modes to use: any at all, or a plain [base + disp32] with one of these bases.
struct AddressingChoice {
  bool any = true;
  std::array<u8, 4> bases{};
};

Encoded encode(Random& random, const Form& form, const AddressingChoice& addressing);

}  // namespace rondo::silicon
