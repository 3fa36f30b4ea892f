// State images that are longer than one access: all faults come before anything changes.
#pragma once

#include "core/software/access.h"

namespace rondo::software::x87 {

// Accessed in units of `unit` bytes (size is a multiple). The order of the first accesses decides which fault is
// reported; it is the silicon's:
//  - environments and FNSAVE images (units of 2 or 4): the first unit, the last byte, the rest;
//  - FXSAVE images (units of 16): a misaligned address is #AC if that is enabled, else #GP; the last byte, the rest.
void read_image(Vcpu& cpu, const Op& op, u8* out, unsigned size, unsigned unit);
void write_image(Vcpu& cpu, const Op& op, const u8* in, unsigned size, unsigned unit);
// The linear address of an image to be written, all of it known to be writable.
u64 writable_image(Vcpu& cpu, const Op& op, unsigned size, unsigned unit);

}  // namespace rondo::software::x87
