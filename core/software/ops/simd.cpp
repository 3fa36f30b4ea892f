#include "core/software/ops/simd.h"

namespace rondo::software {

const Op* raise_sse(Vcpu& cpu, const Op* op) { return raise(cpu, op, sse_fault(cpu)); }
const Op* raise_mmx(Vcpu& cpu, const Op* op) { return raise(cpu, op, mmx_fault(cpu)); }

namespace {

// The operand's linear address, or false with Vcpu::fault set.
LinearAddress wide_linear(Vcpu& cpu, const Op* op, unsigned size, bool aligned, bool write) {
  const LinearAddress linear =
      op->ea == 0 ? LinearAddress{flat_linear(cpu, op), true} : checked_linear(cpu, op, size, write);
  if (linear.ok && aligned && linear.value % size != 0) {
    cpu.fault = fault_gp();
    return {0, false};
  }
  return linear;
}

}  // namespace

Source slow_source(Vcpu& cpu, const Op* op, unsigned size, bool aligned) {
  u8* out = cpu.wide_operand.data();
  const LinearAddress linear = wide_linear(cpu, op, size, aligned, false);
  if (!linear.ok) return {out, MemStatus::fault};
  return {out, load_slow(cpu, op, linear.value, size, out, Privilege::current, uses_stack_segment(op))};
}

MemStatus slow_store_bytes(Vcpu& cpu, const Op* op, unsigned size, bool aligned, const void* in) {
  const LinearAddress linear = wide_linear(cpu, op, size, aligned, true);
  if (!linear.ok) return MemStatus::fault;
  return store_slow(cpu, op, linear.value, size, in, Privilege::current, uses_stack_segment(op));
}

void read_wide(Vcpu& cpu, const Op& op, void* out, unsigned size, bool aligned) {
  const u64 linear = operand_linear(cpu, &op, size, false);
  if (aligned && linear % size != 0) throw fault_gp();
  read_bytes(cpu, &op, linear, out, size, Privilege::current, uses_stack_segment(&op));
}

Xmm read_xmm_operand(Vcpu& cpu, const Op& op, unsigned size, bool aligned) {
  if (op.aux == 0) return cpu.arch.xmm[op.src];
  std::array<u8, 16> bytes{};
  read_wide(cpu, op, bytes.data(), size, aligned);
  return std::bit_cast<Xmm>(bytes);
}

}  // namespace rondo::software
