#include "harness/guest_memory.h"

#include <algorithm>
#include <cstring>

namespace rondo {
namespace {

constexpr u64 kPresent = 1, kLarge = 0x80;
constexpr u64 kAddressBits = 0x000ffffffffff000;  // of a 64-bit entry (SDM 3A table 4-19)

std::optional<u64> read_entry(const PhysicalMemory& memory, u64 address, unsigned size) {
  u8 bytes[8] = {};
  if (!memory.read(GuestPhys{address}, {bytes, size})) return std::nullopt;
  u64 entry = 0;
  std::memcpy(&entry, bytes, sizeof entry);
  if (!(entry & kPresent)) return std::nullopt;
  return entry;
}

// PAE and 4-level paging: 8-byte entries, 9 bits of the address per level.
std::optional<GuestPhys> walk_64(const PhysicalMemory& memory, u64 table, unsigned levels, u64 address) {
  for (unsigned level = levels;; --level) {
    const unsigned shift = kPageShift + 9 * (level - 1);
    const u64 index = address >> shift & (levels == 3 && level == 3 ? 3 : 511);
    const auto entry = read_entry(memory, table + 8 * index, 8);
    if (!entry) return std::nullopt;
    const bool leaf = level == 1 || ((level == 2 || (level == 3 && levels == 4)) && (*entry & kLarge));
    if (leaf) {
      const u64 offset_mask = (u64{1} << shift) - 1;
      return GuestPhys{(*entry & kAddressBits & ~offset_mask) | (address & offset_mask)};
    }
    table = *entry & kAddressBits;
  }
}

// 32-bit paging: 4-byte entries, 10 bits per level; 4 MB pages with PSE-36 (SDM 3A table 4-4).
std::optional<GuestPhys> walk_32(const PhysicalMemory& memory, u64 table, bool pse, u64 address) {
  const auto directory = read_entry(memory, table + 4 * (address >> 22 & 1023), 4);
  if (!directory) return std::nullopt;
  if (pse && (*directory & kLarge)) {
    return GuestPhys{(*directory & 0xffc00000) | (*directory >> 13 & 0xff) << 32 | (address & 0x3fffff)};
  }
  const auto entry = read_entry(memory, (*directory & 0xfffff000) + 4 * (address >> 12 & 1023), 4);
  if (!entry) return std::nullopt;
  return GuestPhys{(*entry & 0xfffff000) | (address & kPageMask)};
}

}  // namespace

std::optional<GuestPhys> translate(const CpuState& cpu, const PhysicalMemory& memory, GuestLinear address) {
  const u64 a = address.value;
  if (!(cpu.cr0 & cr0::PG)) return GuestPhys{a & 0xffffffff};
  if (cpu.efer & efer::LMA) return walk_64(memory, cpu.cr3 & kAddressBits, 4, a);
  if (cpu.cr4 & cr4::PAE) return walk_64(memory, cpu.cr3 & 0xffffffe0, 3, a & 0xffffffff);
  return walk_32(memory, cpu.cr3 & 0xfffff000, cpu.cr4 & cr4::PSE, a & 0xffffffff);
}

u64 read_linear(const CpuState& cpu, const PhysicalMemory& memory, GuestLinear address, std::span<u8> out) {
  u64 done = 0;
  while (done < out.size()) {
    const GuestLinear at = address + done;
    const auto physical = translate(cpu, memory, at);
    if (!physical) break;
    const u64 part = std::min<u64>(out.size() - done, kPageSize - (at.value & kPageMask));
    if (!memory.read(*physical, out.subspan(done, part))) break;
    done += part;
  }
  return done;
}

}  // namespace rondo
