#include "decoder/coverage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "decoder/operation.h"

namespace rondo::decoder {
namespace {

TEST(Coverage, EveryOpcodeHasAFate) {
  std::set<std::string_view> operations;
  for (const auto& row : coverage()) {
    EXPECT_FALSE(row.what.empty()) << row.llvm_name;
    EXPECT_NE(row.what, "not in the model") << row.llvm_name << " needs a row in operations.txt";
    if (row.status == CoverageStatus::implemented) operations.insert(row.what);
  }
  // INT1 and UD0 are decoded by hand: LLVM has no such opcode.
  EXPECT_EQ(operations.size() + 2, kOperationCount - 1);
}

TEST(Coverage, Reports) {
  EXPECT_NE(coverage_text(false).find("AVX"), std::string::npos);
  EXPECT_NE(coverage_text(true).find("ADD32rr "), std::string::npos);
  const std::string json = coverage_json();
  EXPECT_EQ(std::count(json.begin(), json.end(), '{'), std::count(json.begin(), json.end(), '}'));
  EXPECT_NE(json.find("{\"name\": \"SYSCALL\", \"status\": \"implemented\", \"operation\": \"SYSCALL\""),
            std::string::npos);
}

}  // namespace
}  // namespace rondo::decoder
