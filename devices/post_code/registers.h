// Port 0x80: the byte a PC's firmware shows on a diagnostic card (POST, power-on self-test).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::post_code {

inline constexpr u64 kPorts = 1;

}  // namespace rondo::devices::post_code
