#include "core/software/ops/x87_image.h"

#include "core/software/mode.h"

namespace rondo::software::x87 {
namespace {

constexpr unsigned kFxUnit = 16;

u64 image_linear(Vcpu& cpu, const Op& op, unsigned size, unsigned unit, bool write) {
  // The offset of the first unit only: what lies beyond is found out by the accesses, in their order.
  const u64 linear = operand_linear(cpu, &op, cpu.code64() ? unit : size, write);
  if (unit == kFxUnit && linear % kFxUnit != 0) throw alignment_checked(cpu) ? fault_ac() : fault_gp();
  return linear;
}

}  // namespace

void read_image(Vcpu& cpu, const Op& op, u8* out, unsigned size, unsigned unit) {
  const u64 linear = image_linear(cpu, op, size, unit, false);
  const bool stack = uses_stack_segment(&op);
  auto read = [&](unsigned at, unsigned bytes) {
    read_bytes(cpu, &op, linear + at, out + at, bytes, Privilege::current, stack);
  };
  if (unit != kFxUnit) read(0, unit);
  read(size - 1, 1);
  for (unsigned at = 0; at < size; at += unit) read(at, unit);
}

u64 writable_image(Vcpu& cpu, const Op& op, unsigned size, unsigned unit) {
  const u64 linear = image_linear(cpu, op, size, unit, true);
  const bool stack = uses_stack_segment(&op);
  auto require = [&](unsigned at, unsigned bytes) {
    require_writable(cpu, &op, linear + at, bytes, Privilege::current, stack);
  };
  if (unit != kFxUnit) require(0, unit);
  require(size - 1, 1);
  for (unsigned at = 0; at < size; at += unit) require(at, unit);
  return linear;
}

void write_image(Vcpu& cpu, const Op& op, const u8* in, unsigned size, unsigned unit) {
  const u64 linear = writable_image(cpu, op, size, unit);
  for (unsigned at = 0; at < size; at += unit) {
    write_bytes(cpu, &op, linear + at, in + at, unit, Privilege::current, uses_stack_segment(&op));
  }
}

}  // namespace rondo::software::x87
