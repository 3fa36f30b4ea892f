#include "core/kvm/cpuid_table.h"

#include "core/cpu/cpuid.h"

namespace rondo::kvm {
namespace {

// Leaves whose answer depends on ECX, with the last subleaf that differs from those after it.
bool is_indexed(u32 leaf) { return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd; }
constexpr u32 kLastSubleaf = 3;

void add_range(std::vector<kvm_cpuid_entry2>& table, u32 first, u32 last) {
  for (u32 leaf = first; leaf <= last; ++leaf) {
    const u32 subleaves = is_indexed(leaf) ? kLastSubleaf : 0;
    for (u32 sub = 0; sub <= subleaves; ++sub) {
      const CpuidResult r = cpuid({.leaf = leaf, .subleaf = sub});
      kvm_cpuid_entry2 entry{};
      entry.function = leaf;
      entry.index = sub;
      entry.flags = is_indexed(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
      entry.eax = r.eax, entry.ebx = r.ebx, entry.ecx = r.ecx, entry.edx = r.edx;
      table.push_back(entry);
    }
  }
}

}  // namespace

std::vector<kvm_cpuid_entry2> cpuid_table() {
  std::vector<kvm_cpuid_entry2> table;
  add_range(table, 0, cpuid({.leaf = 0}).eax);
  add_range(table, 0x40000000, cpuid({.leaf = 0x40000000}).eax);
  add_range(table, 0x80000000, cpuid({.leaf = 0x80000000}).eax);
  return table;
}

}  // namespace rondo::kvm
