#include "core/software/system/tss.h"

#include "core/software/system/system_memory.h"

namespace rondo::software {
namespace {

bool is_tss32(const Segment& tr) { return tr.type & 8; }

// The linear address of [offset, offset + bytes) of the current TSS.
u64 tss_field(const Vcpu& cpu, u64 offset, unsigned bytes) {
  const Segment& tr = cpu.arch.tr;
  if (offset + bytes - 1 > tr.limit) throw_selector_fault(kTS, tr.selector);
  const u64 linear = tr.base + offset;
  return cpu.long_mode() ? linear : linear & 0xffffffff;
}

u64 checked_rsp(u64 rsp) {
  if (!is_canonical(rsp)) throw fault_ss(0);
  return rsp;
}

}  // namespace

StackAddress inner_stack(Vcpu& cpu, unsigned level) {
  if (is_tss32(cpu.arch.tr)) {
    const u64 at = tss_field(cpu, 4 + 8 * level, 6);
    return {read_system<u16>(cpu, at + 4), read_system<u32>(cpu, at)};
  }
  const u64 at = tss_field(cpu, 2 + 4 * level, 4);
  return {read_system<u16>(cpu, at + 2), read_system<u16>(cpu, at)};
}

u64 inner_rsp(Vcpu& cpu, unsigned level) {
  return checked_rsp(read_system<u64>(cpu, tss_field(cpu, 4 + 8 * level, 8)));
}

u64 interrupt_stack(Vcpu& cpu, unsigned ist) {
  return checked_rsp(read_system<u64>(cpu, tss_field(cpu, 0x1c + 8 * ist, 8)));
}

bool io_permitted(Vcpu& cpu, u16 port, unsigned size) {
  if (cpu.real_mode() || (!cpu.v8086() && cpu.cpl <= cpu.iopl())) return true;
  const Segment& tr = cpu.arch.tr;
  if (!is_tss32(tr) || tr.limit < 0x67) return false;
  const u64 map = read_system<u16>(cpu, tr.base + 0x66);
  // Two bytes are read even if the bits lie in one, so that a port range may straddle them.
  const u64 offset = map + port / 8;
  if (offset + 1 > tr.limit) return false;
  const unsigned bits = read_system<u16>(cpu, tr.base + offset) >> (port & 7);
  return (bits & ((1U << size) - 1)) == 0;
}

}  // namespace rondo::software
