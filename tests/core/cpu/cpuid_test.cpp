// The CPU model is a promise (docs/cpu-model.md): what these tests pin down may change only together with its name.
#include "core/cpu/cpuid.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "core/cpu/registers.h"
#include "core/cpu/state.h"

namespace rondo {
namespace {

CpuidResult leaf(u32 number, u32 subleaf = 0) { return cpuid({.leaf = number, .subleaf = subleaf}); }

std::string text(std::initializer_list<u32> words) {
  std::string out;
  for (const u32 word : words) {
    char bytes[4];
    std::memcpy(bytes, &word, sizeof word);
    out.append(bytes, 4);
  }
  return out;
}

TEST(Cpuid, Identity) {
  const CpuidResult vendor = leaf(0);
  EXPECT_EQ(vendor.eax, 0x16u);
  EXPECT_EQ(text({vendor.ebx, vendor.edx, vendor.ecx}), "GenuineIntel");
  EXPECT_EQ(leaf(1).eax, kCpuSignature);
  EXPECT_EQ(kCpuSignature, 0x00030661u);
  EXPECT_EQ(CpuState::at_reset().gpr[RDX], kCpuSignature);
  std::string brand;
  for (u32 n = 0x80000002; n <= 0x80000004; ++n) {
    const CpuidResult r = leaf(n);
    brand += text({r.eax, r.ebx, r.ecx, r.edx});
  }
  EXPECT_STREQ(brand.c_str(), "Rondo v1 virtual CPU");
  const CpuidResult hypervisor = leaf(0x40000000);
  EXPECT_STREQ(text({hypervisor.ebx, hypervisor.ecx, hypervisor.edx}).c_str(), "RondoRondo");
}

TEST(Cpuid, Features) {
  EXPECT_EQ(leaf(1).ecx, 0x81b82201u);
  EXPECT_EQ(leaf(1).edx, 0x078bfbfdu & ~(1u << 1));
  EXPECT_EQ(leaf(7), (CpuidResult{0, 0x00100283, 0, 0x20000000}));
  EXPECT_EQ(leaf(0x80000001), (CpuidResult{0, 0, 1, 0x2c100800}));
  EXPECT_EQ(leaf(0x80000007).edx, 0x100u);
  EXPECT_EQ(leaf(0x80000008).eax, 48u << 8 | kPhysicalAddressBits);
}

TEST(Cpuid, WhatIsNotImplementedIsNotAdvertised) {
  const u32 ecx = leaf(1).ecx;
  for (const unsigned bit : {1 /*PCLMULQDQ*/, 3 /*MONITOR*/, 5 /*VMX*/, 12 /*FMA*/, 17 /*PCID*/, 22 /*MOVBE*/,
                             25 /*AES*/, 26 /*XSAVE*/, 27, 28 /*AVX*/, 30 /*RDRAND*/}) {
    EXPECT_EQ(ecx >> bit & 1, 0u) << bit;
  }
  EXPECT_EQ(leaf(0xd), CpuidResult{});
  EXPECT_EQ(leaf(0xa), CpuidResult{});
}

// Guests that are told the frequencies calibrate nothing.
TEST(Cpuid, Frequencies) {
  const CpuidResult tsc = leaf(0x15);
  EXPECT_EQ(u64{tsc.ecx} * tsc.ebx / tsc.eax, kTscHz);
  EXPECT_EQ(leaf(0x16).eax, kTscHz / 1'000'000);
}

TEST(Cpuid, StateShowsThrough) {
  EXPECT_EQ(cpuid({.leaf = 1, .apic_enabled = false}).edx >> 9 & 1, 0u);
  EXPECT_EQ(cpuid({.leaf = 0x80000001, .code64 = false}).edx >> 11 & 1, 0u);
  EXPECT_EQ(cpuid({.leaf = 1, .apic_id = 3}).ebx >> 24, 3u);
  EXPECT_EQ(cpuid({.leaf = 0xb, .apic_id = 3}).edx, 3u);
}

TEST(Cpuid, LeavesOutsideTheRanges) {
  EXPECT_EQ(leaf(0x17), leaf(0x16));
  EXPECT_EQ(leaf(0x80000009), leaf(0x16));
  EXPECT_EQ(leaf(0xffffffff), leaf(0x16));
  EXPECT_EQ(leaf(0x40000100), CpuidResult{});
  EXPECT_EQ(leaf(4, 3), CpuidResult{});
}

}  // namespace
}  // namespace rondo
