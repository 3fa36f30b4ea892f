#include "core/software/system/debug.h"

namespace rondo::software {
namespace {

enum class BreakType : u8 { execution, write, io, read_write };

bool enabled(u64 dr7, unsigned i) { return dr7 >> (2 * i) & 3; }
BreakType type_of(u64 dr7, unsigned i) { return static_cast<BreakType>(dr7 >> (16 + 4 * i) & 3); }
u64 length_of(u64 dr7, unsigned i) {
  static constexpr u64 kLengths[] = {1, 2, 8, 4};
  return kLengths[dr7 >> (18 + 4 * i) & 3];
}

// SDM 3B 17.2.5: the low bits of the address that the length covers are ignored.
template <class Wanted>
u64 match(const Vcpu& cpu, u64 address, u64 size, Wanted wanted) {
  const u64 dr7 = cpu.arch.dr7;
  u64 hits = 0;
  for (unsigned i = 0; i < 4; ++i) {
    if (!enabled(dr7, i) || !wanted(type_of(dr7, i))) continue;
    const u64 length = length_of(dr7, i);
    const u64 first = cpu.arch.dr[i] & ~(length - 1);
    if (address <= first + length - 1 && first <= address + size - 1) hits |= u64{1} << i;
  }
  return hits;
}

}  // namespace

u64 debug_instruction_match(const Vcpu& cpu, u64 rip) {
  if (!(cpu.arch.dr7 & 0xff)) return 0;
  const u64 linear = cpu.code64() ? rip : (rip + cpu.arch.segment[CS].base) & 0xffffffff;
  return match(cpu, linear, 1, [](BreakType t) { return t == BreakType::execution; });
}

u64 debug_data_match(const Vcpu& cpu, u64 linear, unsigned size, bool write) {
  return match(cpu, linear, size, [write](BreakType t) { return t == BreakType::read_write || (t == BreakType::write && write); });
}

u64 debug_io_match(const Vcpu& cpu, u16 port, unsigned size) {
  if (!(cpu.arch.cr4 & cr4::DE)) return 0;
  return match(cpu, port, size, [](BreakType t) { return t == BreakType::io; });
}

}  // namespace rondo::software
