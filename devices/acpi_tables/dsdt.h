// The DSDT's bytes, compiled from dsdt.asl by iasl while Rondo is built.
#pragma once

#include <span>

#include "core/base/types.h"

namespace rondo::devices {

std::span<const u8> dsdt_aml();

}  // namespace rondo::devices
