// Randomness of the host. It names things and seeds machines when the user asks for it; what reaches a guest is
// recorded.
#pragma once

#include <span>
#include <string>

#include "core/base/types.h"

namespace rondo::host {

void fill_random(std::span<u8> bytes);
u64 random_u64();
// The name of the processor that runs this program, for people; "unknown" if the host does not tell.
std::string cpu_name();

}  // namespace rondo::host
