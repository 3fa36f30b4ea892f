#include "core/cpu/cpuid.h"

#include <bit>
#include <cstring>
#include <string_view>

#include "core/cpu/registers.h"

namespace rondo {
namespace {

constexpr u32 bits(std::initializer_list<unsigned> list) {
  u32 value = 0;
  for (const unsigned bit : list) value |= u32{1} << bit;
  return value;
}

// SDM 2A, CPUID, tables 3-10 and 3-11.
constexpr u32 kFeatures1Ecx = bits({0 /*SSE3*/, 9 /*SSSE3*/, 13 /*CX16*/, 19 /*SSE4.1*/, 20 /*SSE4.2*/, 21 /*x2APIC*/,
                                    23 /*POPCNT*/, 24 /*TSC-deadline*/, 31 /*hypervisor*/});
constexpr unsigned kApicBit = 9;
constexpr u32 kFeatures1Edx =
    bits({0 /*FPU*/,  2 /*DE*/,      3 /*PSE*/,    4 /*TSC*/,   5 /*MSR*/,   6 /*PAE*/,  7 /*MCE*/,
          8 /*CX8*/,  kApicBit,      11 /*SEP*/,   12 /*MTRR*/, 13 /*PGE*/,  14 /*MCA*/, 15 /*CMOV*/,
          16 /*PAT*/, 17 /*PSE-36*/, 19 /*CLFSH*/, 23 /*MMX*/,  24 /*FXSR*/, 25 /*SSE*/, 26 /*SSE2*/});
constexpr u32 kFeatures7Ebx = bits({0 /*FSGSBASE*/, 1 /*TSC_ADJUST*/, 7 /*SMEP*/, 9 /*ERMS*/, 20 /*SMAP*/});
constexpr u32 kFeatures7Edx = bits({29 /*ARCH_CAPABILITIES*/});
constexpr u32 kExtendedEcx = bits({0 /*LAHF in 64-bit mode*/});
constexpr unsigned kSyscallBit = 11;
constexpr u32 kExtendedEdx = bits({kSyscallBit, 20 /*NX*/, 26 /*1 GB pages*/, 27 /*RDTSCP*/, 29 /*long mode*/});

constexpr u32 kLastBasic = 0x16, kLastExtended = 0x80000008, kHypervisor = 0x40000000;
constexpr unsigned kLinearAddressBits = 48;

u32 text_word(std::string_view text, unsigned index) {
  char word[4] = {};
  for (unsigned i = 0; i < 4; ++i) {
    if (index * 4 + i < text.size()) word[i] = text[index * 4 + i];
  }
  u32 value;
  std::memcpy(&value, word, sizeof value);
  return value;
}

constexpr std::string_view kBrand = "Rondo v1 virtual CPU";

// Deterministic cache parameters (leaf 4). They describe nothing that exists, but programs size their buffers by them.
struct Cache {
  u32 type;  // 1 data, 2 instructions, 3 unified
  u32 level;
  u32 ways;
  u32 sets;
};
constexpr Cache kCaches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}};  // 32 KB, 32 KB, 1 MB
constexpr u32 kLineBytes = 64;

CpuidResult cache_leaf(const CpuidInput& in) {
  if (in.subleaf >= std::size(kCaches)) return {};
  const Cache& cache = kCaches[in.subleaf];
  const u32 cores = std::bit_ceil(in.cpu_count);
  return {cache.type | cache.level << 5 | u32{1} << 8 | (cores - 1) << 26, (kLineBytes - 1) | (cache.ways - 1) << 22,
          cache.sets - 1, 0};
}

// Extended topology (leaf 0BH): one thread per core.
CpuidResult topology_leaf(const CpuidInput& in) {
  const u32 core_bits = static_cast<u32>(std::bit_width(std::bit_ceil(in.cpu_count) - 1));
  switch (in.subleaf) {
    case 0:
      return {0, 1, 1 << 8 | 0, in.apic_id};
    case 1:
      return {core_bits, in.cpu_count, 2 << 8 | 1, in.apic_id};
    default:
      return {0, 0, in.subleaf & 0xff, in.apic_id};
  }
}

CpuidResult basic_leaf(const CpuidInput& in) {
  switch (in.leaf) {
    case 0: {
      constexpr std::string_view kVendor = "GenuineIntel";
      return {kLastBasic, text_word(kVendor, 0), text_word(kVendor, 2), text_word(kVendor, 1)};
    }
    case 1: {
      u32 edx = kFeatures1Edx;
      if (!in.apic_enabled) edx &= ~(u32{1} << kApicBit);
      return {kCpuSignature, (kLineBytes / 8) << 8 | in.cpu_count << 16 | in.apic_id << 24, kFeatures1Ecx, edx};
    }
    case 2:
      return {0x0000ff01, 0, 0, 0};  // descriptor FFH: see leaf 4
    case 4:
      return cache_leaf(in);
    case 6:
      return {4, 0, 0, 0};  // ARAT: the APIC timer runs in every idle state
    case 7:
      return in.subleaf == 0 ? CpuidResult{0, kFeatures7Ebx, 0, kFeatures7Edx} : CpuidResult{};
    case 0xb:
      return topology_leaf(in);
    case 0x15:
      return {1, 1, static_cast<u32>(kTscHz), 0};  // TSC / crystal = 1 / 1
    case 0x16:
      return {static_cast<u32>(kTscHz / 1'000'000), static_cast<u32>(kTscHz / 1'000'000), 100, 0};
    default:
      return {};
  }
}

CpuidResult extended_leaf(const CpuidInput& in) {
  switch (in.leaf) {
    case 0x80000000:
      return {kLastExtended, 0, 0, 0};
    case 0x80000001: {
      const u32 edx = in.code64 ? kExtendedEdx : kExtendedEdx & ~(u32{1} << kSyscallBit);
      return {0, 0, kExtendedEcx, edx};
    }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const unsigned first = (in.leaf - 0x80000002) * 4;
      return {text_word(kBrand, first), text_word(kBrand, first + 1), text_word(kBrand, first + 2),
              text_word(kBrand, first + 3)};
    }
    case 0x80000006:
      return {0, 0, 1024U << 16 | 8U << 12 | kLineBytes, 0};  // L2: 1 MB, 16 ways
    case 0x80000007:
      return {0, 0, 0, 1 << 8};  // invariant TSC
    case 0x80000008:
      return {kPhysicalAddressBits | kLinearAddressBits << 8, 0, 0, 0};
    default:
      return {};
  }
}

}  // namespace

CpuidResult cpuid(const CpuidInput& in) {
  if (in.leaf >= 0x80000000 && in.leaf <= kLastExtended) return extended_leaf(in);
  if (in.leaf == kHypervisor) {
    constexpr std::string_view kName = "RondoRondo";
    return {kHypervisor, text_word(kName, 0), text_word(kName, 1), text_word(kName, 2)};
  }
  if (in.leaf > kHypervisor && in.leaf < kHypervisor + 0x10000000) return {};
  CpuidInput basic = in;
  // A leaf beyond the last one shows the last basic one (SDM 2A, CPUID, "INPUT EAX").
  if (basic.leaf > kLastBasic) basic.leaf = kLastBasic;
  return basic_leaf(basic);
}

}  // namespace rondo
