#include "decoder/coverage.h"

#include <llvm/Config/llvm-config.h>

#include <algorithm>
#include <map>
#include <set>

#include "decoder/operation.h"

namespace rondo::decoder {
namespace {

using namespace std::string_view_literals;

#include "decoder/coverage.inc"

const char* status_name(CoverageStatus status) {
  switch (status) {
    case CoverageStatus::implemented:
      return "implemented";
    case CoverageStatus::invalid:
      return "ud";
    case CoverageStatus::never:
      return "never";
  }
  return "";
}

std::string padded(std::string_view text, std::size_t width) {
  std::string result(text);
  result.resize(std::max(width, text.size()), ' ');
  return result;
}

std::string number(std::size_t value) {
  const std::string digits = std::to_string(value);
  return std::string(digits.size() < 6 ? 6 - digits.size() : 0, ' ') + digits;
}

}  // namespace

std::span<const CoverageRow> coverage() { return kCoverage; }

std::string coverage_text(bool all) {
  struct Feature {
    std::size_t opcodes = 0;
    std::set<std::string_view> operations;
  };
  std::map<std::string_view, Feature> features;
  std::map<std::string_view, std::size_t> reasons;
  std::size_t implemented = 0;
  for (const auto& row : kCoverage) {
    if (row.status == CoverageStatus::implemented) {
      ++implemented;
      ++features[row.feature].opcodes;
      features[row.feature].operations.insert(row.what);
    } else {
      ++reasons[row.what];
    }
  }
  std::string text = "LLVM " LLVM_VERSION_STRING ": " + std::to_string(std::size(kCoverage)) + " opcodes, " +
                     std::to_string(implemented) + " of them implemented by " + std::to_string(kOperationCount - 1) +
                     " operations\n\nimplemented\n";
  for (const auto& [name, feature] : features) {
    text += number(feature.opcodes) + " opcodes " + number(feature.operations.size()) + " operations  " +
            std::string(name) + "\n";
  }
  text += "\nnot implemented (#UD unless said otherwise)\n";
  for (const auto& [reason, count] : reasons) text += number(count) + " opcodes  " + std::string(reason) + "\n";
  if (!all) return text;
  text += "\n";
  for (const auto& row : kCoverage) {
    text += padded(row.llvm_name, 32) + " " + padded(status_name(row.status), 12) + " " + std::string(row.what) + "\n";
  }
  return text;
}

std::string coverage_json() {
  // Names and reasons come from operations.txt and LLVM: no character in them needs escaping (the generator checks).
  std::string text = "{\"llvm\": \"" LLVM_VERSION_STRING "\", \"operations\": " + std::to_string(kOperationCount - 1) +
                     ", \"opcodes\": [\n";
  bool is_first = true;
  for (const auto& row : kCoverage) {
    if (!is_first) text += ",\n";
    is_first = false;
    const bool is_implemented = row.status == CoverageStatus::implemented;
    text += "  {\"name\": \"" + std::string(row.llvm_name) + "\", \"status\": \"" + status_name(row.status) + "\", \"" +
            (is_implemented ? "operation" : "reason") + "\": \"" + std::string(row.what) + "\"";
    if (is_implemented) text += ", \"feature\": \"" + std::string(row.feature) + "\"";
    text += "}";
  }
  return text + "\n]}\n";
}

}  // namespace rondo::decoder
