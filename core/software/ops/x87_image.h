// State images that are longer than one access: all faults come before anything changes.
#pragma once

#include "core/software/access.h"

namespace rondo::software::x87 {

// `alignment` 16: a misaligned linear address is #GP(0).
void read_image(Vcpu& cpu, const Op& op, u8* out, unsigned size, unsigned alignment);
void write_image(Vcpu& cpu, const Op& op, const u8* in, unsigned size, unsigned alignment);

}  // namespace rondo::software::x87
