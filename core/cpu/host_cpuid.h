// What CPUID and XGETBV show to a guest's programs where KVM masks neither: the processor of one host.
//
// Such answers are input. They are found out from inside a guest (harness/doctor/host_cpuid.h), are part of a
// recording, and whatever executes these instructions at CPL 3 in its stead answers the same.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "core/cpu/cpuid.h"

namespace rondo {

struct HostCpuid {
  static constexpr u32 kAnySubleaf = ~u32{0};  // the answer does not depend on ECX
  struct Leaf {
    u32 leaf = 0;
    u32 subleaf = 0;
    CpuidResult shown;
    bool operator==(const Leaf&) const = default;
  };
  std::vector<Leaf> leaves;
  std::optional<u64> xcr0;  // of XGETBV with ECX = 0; none: it raises #UD
  bool operator==(const HostCpuid&) const = default;

  // None: not known.
  std::optional<CpuidResult> find(u32 leaf, u32 subleaf) const {
    const auto fits = [&](const Leaf& l) {
      return l.leaf == leaf && (l.subleaf == subleaf || l.subleaf == kAnySubleaf);
    };
    const auto found = std::find_if(leaves.begin(), leaves.end(), fits);
    return found == leaves.end() ? std::nullopt : std::optional(found->shown);
  }
};

}  // namespace rondo
