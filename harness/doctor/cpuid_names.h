// Names of CPUID's feature bits (SDM 2A, CPUID; AMD APM 3, appendix E), as Linux's clearcpuid= knows them.
#pragma once

#include <string>

#include "core/base/types.h"

namespace rondo::doctor {

inline constexpr u32 kFeatureLeaves[] = {1, 7, 0xd, 0x80000001};

// `reg`: 'B', 'C' or 'D'. "leaf:EBX.bit" for bits without a name here.
std::string feature_name(u32 leaf, char reg, unsigned bit);

}  // namespace rondo::doctor
