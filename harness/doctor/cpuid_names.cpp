#include "harness/doctor/cpuid_names.h"

#include <cstdio>

namespace rondo::doctor {
namespace {

struct Name {
  u32 leaf;
  char reg;
  unsigned bit;
  const char* name;
};

constexpr Name kNames[] = {
    {1, 'C', 1, "pclmulqdq"},
    {1, 'C', 3, "monitor"},
    {1, 'C', 12, "fma"},
    {1, 'C', 17, "pcid"},
    {1, 'C', 22, "movbe"},
    {1, 'C', 25, "aes"},
    {1, 'C', 26, "xsave"},
    {1, 'C', 27, "osxsave"},
    {1, 'C', 28, "avx"},
    {1, 'C', 29, "f16c"},
    {1, 'C', 30, "rdrand"},
    {1, 'D', 1, "vme"},
    {1, 'D', 18, "pn"},
    {1, 'D', 28, "ht"},
    {7, 'B', 3, "bmi1"},
    {7, 'B', 4, "hle"},
    {7, 'B', 5, "avx2"},
    {7, 'B', 8, "bmi2"},
    {7, 'B', 10, "invpcid"},
    {7, 'B', 11, "rtm"},
    {7, 'B', 16, "avx512f"},
    {7, 'B', 17, "avx512dq"},
    {7, 'B', 18, "rdseed"},
    {7, 'B', 19, "adx"},
    {7, 'B', 21, "avx512ifma"},
    {7, 'B', 23, "clflushopt"},
    {7, 'B', 24, "clwb"},
    {7, 'B', 28, "avx512cd"},
    {7, 'B', 29, "sha_ni"},
    {7, 'B', 30, "avx512bw"},
    {7, 'B', 31, "avx512vl"},
    {7, 'C', 1, "avx512vbmi"},
    {7, 'C', 2, "umip"},
    {7, 'C', 3, "pku"},
    {7, 'C', 6, "avx512_vbmi2"},
    {7, 'C', 8, "gfni"},
    {7, 'C', 9, "vaes"},
    {7, 'C', 10, "vpclmulqdq"},
    {7, 'C', 11, "avx512_vnni"},
    {7, 'C', 12, "avx512_bitalg"},
    {7, 'C', 14, "avx512_vpopcntdq"},
    {7, 'C', 16, "la57"},
    {7, 'C', 22, "rdpid"},
    {7, 'D', 4, "fsrm"},
    {7, 'D', 8, "avx512_vp2intersect"},
    {0x80000001, 'C', 1, "cmp_legacy"},
    {0x80000001, 'C', 2, "svm"},
    {0x80000001, 'C', 4, "cr8_legacy"},
    {0x80000001, 'C', 5, "abm"},
    {0x80000001, 'C', 6, "sse4a"},
    {0x80000001, 'C', 7, "misalignsse"},
    {0x80000001, 'C', 8, "3dnowprefetch"},
    {0x80000001, 'C', 9, "osvw"},
    {0x80000001, 'C', 22, "topoext"},
    {0x80000001, 'D', 22, "mmxext"},
    {0x80000001, 'D', 25, "fxsr_opt"},
};

}  // namespace

std::string feature_name(u32 leaf, char reg, unsigned bit) {
  for (const Name& n : kNames) {
    if (n.leaf == leaf && n.reg == reg && n.bit == bit) return n.name;
  }
  char text[40];
  std::snprintf(text, sizeof text, "%x:E%cX.%u", leaf, reg, bit);
  return text;
}

}  // namespace rondo::doctor
