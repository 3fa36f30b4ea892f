#include "core/software/system/debug.h"

namespace rondo::software {
namespace {

enum class BreakOn : u8 { execution = 0, write = 1, io = 2, access = 3 };

struct Breakpoint {
  bool enabled;
  BreakOn condition;
  unsigned bytes;
};

Breakpoint breakpoint(u64 dr7, unsigned i) {
  static constexpr unsigned kBytes[] = {1, 2, 8, 4};  // LEN
  return {(dr7 >> (2 * i) & 3) != 0, static_cast<BreakOn>(dr7 >> (16 + 4 * i) & 3), kBytes[dr7 >> (18 + 4 * i) & 3]};
}

template <class Applies>
u64 match(const Vcpu& cpu, u64 address, unsigned size, Applies applies) {
  u64 hits = 0;
  bool any_enabled = false;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(cpu.arch.dr7, i);
    if (!applies(b.condition)) continue;
    const u64 start = cpu.arch.dr[i] & ~u64{b.bytes - 1};  // the address bits below LEN are ignored
    if (address >= start + b.bytes || start >= address + size) continue;
    hits |= dr6::B0 << i;
    any_enabled |= b.enabled;
  }
  return any_enabled ? hits : 0;
}

}  // namespace

u64 debug_instruction_match(const Vcpu& cpu, u64 rip) {
  if (!(cpu.arch.dr7 & 0xff)) return 0;
  const u64 linear = cpu.code64() ? rip : (rip + cpu.arch.segment[CS].base) & 0xffffffff;
  return match(cpu, linear, 1, [](BreakOn on) { return on == BreakOn::execution; });
}

u64 debug_data_match(const Vcpu& cpu, u64 linear, unsigned size, bool write) {
  if (!(cpu.arch.dr7 & 0xff)) return 0;
  return match(cpu, linear, size,
               [write](BreakOn on) { return on == BreakOn::access || (write && on == BreakOn::write); });
}

u64 debug_io_match(const Vcpu& cpu, u16 port, unsigned size) {
  if (!(cpu.arch.dr7 & 0xff) || !(cpu.arch.cr4 & cr4::DE)) return 0;
  return match(cpu, port, size, [](BreakOn on) { return on == BreakOn::io; });
}

}  // namespace rondo::software
