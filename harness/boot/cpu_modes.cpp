#include "harness/boot/cpu_modes.h"

#include <array>

#include "harness/boot/bytes.h"
#include "harness/boot/layout.h"

namespace rondo::boot {
namespace {

constexpr u16 kCodeSelector = 0x10, kDataSelector = 0x18, kTaskSelector = 0x20;
constexpr u8 kCodeType = 0xb, kDataType = 3;  // execute/read and read/write, accessed (SDM 3A table 3-1)
constexpr u8 kBusyTss = 0xb;                  // SDM 3A table 3-2
constexpr u16 kGdtLimit = 0x2f;               // six slots: null, unused, code, data, and a 64-bit TSS in two

Segment flat_segment(u16 selector, u8 type, bool long_mode) {
  Segment s;
  s.selector = selector;
  s.limit = 0xffffffff;
  s.type = type;
  s.l = long_mode;
  s.db = !long_mode;
  s.g = true;
  return s;
}

// SDM 3A figure 3-8.
u64 descriptor_of(const Segment& s) {
  const u64 limit = s.g ? s.limit >> kPageShift : s.limit;
  u64 d = (limit & 0xffff) | (limit >> 16 & 0xf) << 48;
  d |= (s.base & 0xffffff) << 16 | (s.base >> 24 & 0xff) << 56;
  d |= u64{s.type} << 40 | u64{s.s} << 44 | u64{s.dpl} << 45 | u64{s.present} << 47;
  d |= u64{s.avl} << 52 | u64{s.l} << 53 | u64{s.db} << 54 | u64{s.g} << 55;
  return d;
}

Result<CpuState> flat_state(PhysicalMemory& memory, Placement& placement, bool long_mode) {
  CpuState cpu = CpuState::at_reset();
  cpu.gpr = {};
  cpu.rflags = flags::FIXED1;
  cpu.segment[CS] = flat_segment(kCodeSelector, kCodeType, long_mode);
  Segment data = flat_segment(kDataSelector, kDataType, false);
  for (const SegmentName name : {ES, SS, DS, FS, GS}) cpu.segment[name] = data;
  // LTR has not run yet; what VM entry would demand of TR holds all the same: a busy TSS, here an empty one at 0.
  cpu.tr = Segment{.selector = kTaskSelector, .limit = 0x67, .type = kBusyTss, .s = false};
  cpu.ldtr = Segment{.limit = 0, .type = 2, .s = false, .present = false};
  cpu.gdtr = {kBootGdt.value, kGdtLimit};
  // As after RESET, over memory that is zero: an exception before the kernel has its own IDT is a triple fault, and not
  // one that was asked for.
  cpu.idtr = {0, 0xffff};
  cpu.cr0 = cr0::PE | cr0::ET;
  cpu.gpr[RSP] = kBootStackTop.value;

  std::array<u8, kGdtLimit + 1> gdt{};
  put_field<u64>(gdt, kCodeSelector, descriptor_of(cpu.segment[CS]));
  put_field<u64>(gdt, kDataSelector, descriptor_of(data));
  put_field<u64>(gdt, kTaskSelector, descriptor_of(cpu.tr));
  if (Status taken = placement.take("the boot loader's GDT", kBootGdt, kBootGdtSize); !taken) return taken.error();
  memory.write(kBootGdt, gdt);
  return cpu;
}

}  // namespace

Result<CpuState> enter_protected_mode(PhysicalMemory& memory, Placement& placement, u32 entry) {
  Result<CpuState> cpu = flat_state(memory, placement, false);
  if (cpu) cpu->rip = entry;
  return cpu;
}

Result<CpuState> enter_long_mode(PhysicalMemory& memory, Placement& placement, u64 entry) {
  Result<CpuState> cpu = flat_state(memory, placement, true);
  if (!cpu) return cpu;
  if (Status taken = placement.take("the boot loader's page tables", kBootPageTables, kBootPageTablesSize); !taken)
    return taken.error();

  constexpr u64 kPresentWritable = 3, kLargePage = 0x80, kLargePageSize = u64{2} << 20;  // SDM 3A tables 4-15 to 4-18
  constexpr u64 kPointers = kBootPageTables.value + kPageSize, kDirectories = kPointers + kPageSize;
  std::array<u8, kBootPageTablesSize> tables{};
  put_field<u64>(tables, 0, kPointers | kPresentWritable);
  for (u64 gigabyte = 0; gigabyte < 4; ++gigabyte) {
    put_field<u64>(tables, kPageSize + 8 * gigabyte, (kDirectories + gigabyte * kPageSize) | kPresentWritable);
  }
  for (u64 page = 0; page < 4 * 512; ++page) {
    put_field<u64>(tables, 2 * kPageSize + 8 * page, page * kLargePageSize | kPresentWritable | kLargePage);
  }
  memory.write(kBootPageTables, tables);

  cpu->rip = entry;
  cpu->cr0 |= cr0::PG | cr0::NE | cr0::MP;
  cpu->cr3 = kBootPageTables.value;
  cpu->cr4 = cr4::PAE;
  cpu->efer = efer::LME | efer::LMA;
  return cpu;
}

}  // namespace rondo::boot
