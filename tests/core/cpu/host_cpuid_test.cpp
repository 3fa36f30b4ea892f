#include "core/cpu/host_cpuid.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

TEST(HostCpuid, FindsByLeafAndSubleaf) {
  const HostCpuid host{{{1, HostCpuid::kAnySubleaf, {1, 2, 3, 4}}, {7, 0, {5, 6, 7, 8}}, {7, 1, {9, 0, 0, 0}}}, {}};
  EXPECT_EQ(host.find(1, 0)->ebx, 2u);
  EXPECT_EQ(host.find(1, 0x5555)->edx, 4u);  // most leaves do not look at ECX, which is garbage then
  EXPECT_EQ(host.find(7, 1)->eax, 9u);
  EXPECT_FALSE(host.find(7, 2));
  EXPECT_FALSE(host.find(2, 0));
}

}  // namespace
}  // namespace rondo
