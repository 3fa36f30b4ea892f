#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/doctor/findings.h"

namespace rondo::doctor {
namespace {

const char* word(Grade grade) {
  switch (grade) {
    case Grade::good:
      return "yes";
    case Grade::limited:
      return "limited";
    case Grade::bad:
      return "no";
    case Grade::unknown:
      return "unknown";
  }
  return "unknown";
}

constexpr std::size_t kTextWidth = 76;

// Long details go on in the same column.
std::string row(const Finding& f) {
  std::string text = fmt::format("  {:<8} {:<26} ", word(f.grade), f.topic);
  const std::string indent(text.size(), ' ');
  std::size_t begin = 0;
  while (f.detail.size() - begin > kTextWidth) {
    const std::size_t space = f.detail.rfind(' ', begin + kTextWidth);
    if (space == std::string::npos || space <= begin) break;
    text += f.detail.substr(begin, space - begin) + "\n" + indent;
    begin = space + 1;
  }
  return text + f.detail.substr(begin) + "\n";
}

nlohmann::ordered_json list_json(const std::vector<Finding>& list) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Finding& f : list)
    json.push_back({{"id", f.id}, {"topic", f.topic}, {"grade", word(f.grade)}, {"detail", f.detail}});
  return json;
}

}  // namespace

std::string to_text(const HostProfile& profile) {
  std::string text = "This host:\n";
  for (const Finding& f : findings(profile)) text += row(f);
  text += "\nWhat follows:\n";
  for (const Finding& f : conclusions(profile)) text += row(f);
  return text;
}

std::string to_json(const HostProfile& profile) {
  const std::vector<Finding> concluded = conclusions(profile);
  nlohmann::ordered_json json;
  json["complete"] = nothing_withheld(concluded);
  json["findings"] = list_json(findings(profile));
  json["conclusions"] = list_json(concluded);
  json["capabilities"] = profile.capabilities;
  if (profile.facts) {
    const KvmFacts& f = *profile.facts;
    json["leaked_features"] = {{"cpl0", f.cpuid.kernel.leaked}, {"cpl3", f.cpuid.user.leaked}};
    json["not_emulated"] = {{"cpl0", f.not_emulated.kernel}, {"cpl3", f.not_emulated.user}};
    json["mips"] = {{"cpl0", f.mips.kernel}, {"cpl3", f.mips.user}};
    json["port_exit_us"] = {{"cpl0", f.port_exit_us.kernel}, {"cpl3", f.port_exit_us.user}};
  }
  return json.dump(2) + "\n";
}

}  // namespace rondo::doctor
