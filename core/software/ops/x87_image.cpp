#include "core/software/ops/x87_image.h"

#include <algorithm>

namespace rondo::software::x87 {
namespace {

constexpr unsigned kPiece = 16;  // the longest access

u64 image_linear(Vcpu& cpu, const Op& op, unsigned size, unsigned alignment, bool write) {
  const u64 linear = operand_linear(cpu, &op, size, write);
  if (linear % alignment != 0) throw fault_gp();
  return linear;
}

}  // namespace

void read_image(Vcpu& cpu, const Op& op, u8* out, unsigned size, unsigned alignment) {
  const u64 linear = image_linear(cpu, op, size, alignment, false);
  for (unsigned at = 0; at < size; at += kPiece) {
    read_bytes(cpu, &op, linear + at, out + at, std::min(kPiece, size - at), Privilege::current,
               uses_stack_segment(&op));
  }
}

void write_image(Vcpu& cpu, const Op& op, const u8* in, unsigned size, unsigned alignment) {
  const u64 linear = image_linear(cpu, op, size, alignment, true);
  require_writable(cpu, &op, linear, size, Privilege::current, uses_stack_segment(&op));
  for (unsigned at = 0; at < size; at += kPiece) {
    write_bytes(cpu, &op, linear + at, in + at, std::min(kPiece, size - at), Privilege::current,
                uses_stack_segment(&op));
  }
}

}  // namespace rondo::software::x87
