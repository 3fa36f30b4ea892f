// Flags that nobody will see are not computed.
//
// Within a block an instruction's flags are dead if a later one overwrites them all, and nothing between can read them,
// fault or leave the block: only register-to-register instructions are allowed there, the overwriting one included. A
// block runs whole or leaves at a memory access or a cold handler, so flags are exact wherever anybody looks.
#pragma once

#include <array>
#include <vector>

#include "core/software/ops/lower.h"

namespace rondo::software {

class DeadFlags {
 public:
  // `instruction` has just been lowered to ops.back(). Replaces the handlers of those before it whose flags it makes
  // dead.
  void lowered(const Instruction& instruction, std::vector<Op>& ops);

 private:
  struct Pending {
    std::size_t index;
    Handler quiet;
  };
  std::array<Pending, 8> pending_{};
  unsigned count_ = 0;
};

}  // namespace rondo::software
