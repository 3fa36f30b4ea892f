// The failures that were found against silicon, and repaired: replayed from data on every drive, on any host.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/silicon/case_file.h"

namespace rondo::silicon {
namespace {

class StoredCases : public testing::TestWithParam<std::string> {};

TEST_P(StoredCases, EngineDoesWhatTheSiliconDid) {
  const auto cases = read_cases(std::string(RONDO_SILICON_CASES) + "/" + GetParam() + ".txt");
  ASSERT_TRUE(cases) << cases.error().message;
  EXPECT_FALSE(cases->empty());
  EngineRunner engine;
  for (const auto& stored : *cases) {
    replay_case(engine, *stored, [&](Drive drive, const Difference& difference) {
      ADD_FAILURE() << stored->title << " (" << name_of(drive) << "): " << difference.kind << ": " << difference.detail;
    });
  }
}

std::vector<std::string> case_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(RONDO_SILICON_CASES))
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Silicon, StoredCases, testing::ValuesIn(case_files()),
                         [](const auto& parameter) { return parameter.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoredCases);

}  // namespace
}  // namespace rondo::silicon
