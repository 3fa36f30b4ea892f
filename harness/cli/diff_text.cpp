#include "harness/cli/diff_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace rondo::cli {
namespace {

using recordings::Difference;
using recordings::DiffReport;
using Json = nlohmann::ordered_json;

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string_view name_of(Difference::Cause cause) {
  switch (cause) {
    case Difference::Cause::start:
      return "start";
    case Difference::Cause::entered:
      return "entered";
    case Difference::Cause::instruction:
      return "instruction";
    case Difference::Cause::end:
      return "end";
    case Difference::Cause::interval:
      break;
  }
  return "interval";
}

std::string event_line(const replay::Event& event) {
  return fmt::format("  event {} at instruction {}, {} ns, RIP 0x{:x}: {}\n", event.number, event.moment.count.value,
                     event.moment.time.value, event.moment.rip, describe(event.body));
}

std::string where_text(const Difference& d) {
  if (d.cause == Difference::Cause::start) return "they differ before the first instruction\n";
  std::string text =
      fmt::format("last equal:      instruction {}, {} ns\n", d.bracket.last_equal.count.value, d.before.value);
  if (d.cause == Difference::Cause::entered)
    text += fmt::format(
        "first different: at the same instruction, after what enters there from outside\n"
        "next:            0x{:x}  {}\n",
        d.rip, d.text);
  else if (d.cause == Difference::Cause::interval)
    text += fmt::format("compared:        at the recording's checkpoint at instruction {}\n",
                        d.bracket.first_different.count.value);
  else
    text += fmt::format(
        "first different: instruction {}, {}\n"
        "instruction:     0x{:x}  {}\n",
        d.bracket.first_different.count.value,
        d.a == d.b ? fmt::format("{} ns", d.a.value) : fmt::format("{} ns in A, {} ns in B", d.a.value, d.b.value),
        d.rip, d.text);
  for (const std::string& step : d.way) text += fmt::format("  before it:     {}\n", step);
  if (d.ended_a != d.ended_b) {
    const auto how = [](const std::string& ended) { return ended.empty() ? "goes on" : "ends (" + ended + ")"; };
    text += fmt::format("end:             A {}, B {}\n", how(d.ended_a), how(d.ended_b));
  }
  return text;
}

std::string difference_text(const Difference& d) {
  std::string text = fmt::format("A is {}, B is {}\n", d.side_a, d.side_b) + where_text(d);
  if (!d.components.empty()) text += "components:      " + list(d.components) + "\n";
  if (!d.registers.empty()) {
    text += "registers:\n";
    for (const auto& r : d.registers)
      text +=
          fmt::format("  {:<14} {}A {}, B {}\n", r.name, r.before.empty() ? "" : "was " + r.before + ", ", r.a, r.b);
  }
  if (d.page_count != 0) {
    text += fmt::format("memory pages: {}\n", d.page_count);
    for (const auto& page : d.pages)
      text += fmt::format("  first byte at 0x{:x}: {}A {:02x}, B {:02x} ({} bytes of the page)\n", page.first.value,
                          d.cause == Difference::Cause::start ? "" : fmt::format("was {:02x}, ", page.before), page.a,
                          page.b, page.bytes);
    if (d.pages.size() < d.page_count) text += fmt::format("  and {} more pages\n", d.page_count - d.pages.size());
  }
  return text;
}

Json to_json(const replay::Event& event) {
  return {{"number", event.number},
          {"kind", kind_name(event.body)},
          {"count", event.moment.count.value},
          {"virtual_ns", event.moment.time.value},
          {"rip", event.moment.rip},
          {"what", describe(event.body)}};
}

Json to_json(const Difference& d) {
  Json json;
  json["cause"] = name_of(d.cause);
  json["a"] = d.side_a;
  json["b"] = d.side_b;
  json["last_equal"] = {{"count", d.bracket.last_equal.count.value}, {"virtual_ns", d.before.value}};
  json["first_different"] = {
      {"count", d.bracket.first_different.count.value}, {"virtual_ns_a", d.a.value}, {"virtual_ns_b", d.b.value}};
  json["rip"] = d.rip;
  json["instruction"] = d.text;
  json["way"] = d.way;
  json["ended_a"] = d.ended_a;
  json["ended_b"] = d.ended_b;
  json["components"] = d.components;
  json["registers"] = Json::array();
  for (const auto& r : d.registers)
    json["registers"].push_back({{"name", r.name}, {"before", r.before}, {"a", r.a}, {"b", r.b}});
  json["pages"] = d.page_count;
  json["memory"] = Json::array();
  for (const auto& page : d.pages) {
    json["memory"].push_back({{"address", page.first.value},
                              {"before", page.before},
                              {"a", page.a},
                              {"b", page.b},
                              {"bytes_of_page", page.bytes}});
  }
  return json;
}

}  // namespace

std::string diff_text(const DiffReport& report) {
  std::string text = report.conclusion + "\n";
  for (const auto& c : report.configuration) text += fmt::format("  {}: A {}, B {}\n", c.name, c.a, c.b);
  if (report.equal) return text + fmt::format("{} state hashes agree\n", report.hashes);
  if (!report.noticed.empty())
    text += fmt::format("noticed:         {}; the last equal state hash is at instruction {}\n", report.noticed,
                        report.last_equal.value);
  if (report.difference) text += difference_text(*report.difference);
  if (!report.difference && !report.components.empty()) text += "components:      " + list(report.components) + "\n";
  const auto& events = report.difference ? report.difference->events : report.events;
  if (!events.empty()) text += "last events:\n";
  for (const replay::Event& event : events) text += event_line(event);
  return text;
}

std::string diff_json(const DiffReport& report) {
  Json json;
  json["equal"] = report.equal;
  json["conclusion"] = report.conclusion;
  json["configuration"] = Json::array();
  for (const auto& c : report.configuration)
    json["configuration"].push_back({{"name", c.name}, {"a", c.a}, {"b", c.b}});
  json["hashes"] = report.hashes;
  json["inputs"] = report.inputs;
  json["reach"] = report.reach.value;
  if (!report.equal) {
    json["noticed"] = report.noticed;
    json["last_equal_hash"] = report.last_equal.value;
    json["components"] = report.difference ? report.difference->components : report.components;
    json["divergence"] = report.difference ? to_json(*report.difference) : Json();
    json["events"] = Json::array();
    for (const auto& event : report.difference ? report.difference->events : report.events)
      json["events"].push_back(to_json(event));
  }
  // A guest may have typed any bytes.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace rondo::cli
