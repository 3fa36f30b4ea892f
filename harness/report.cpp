#include "harness/report.h"

#include <nlohmann/json.hpp>

#include "harness/host/clock.h"

namespace rondo {

Report make_report(Machine& machine, const RunResult& result, InstrCount first_count, double wall_s) {
  Report report;
  report.exit = to_string(result.reason);
  report.debug_exit_code = result.debug_exit_code;
  report.instructions = machine.clock().count().value;
  if (machine.clock().counts_events()) report.counted = "events";
  report.virtual_ns = machine.clock().now().value;
  report.components = machine.component_hashes();
  report.state_hash = Machine::state_hash(report.components);
  report.wall_s = wall_s;
  report.mips = wall_s > 0 ? static_cast<double>(machine.clock().count() - first_count) / wall_s / 1e6 : 0;
  report.peak_memory_bytes = host::peak_memory_bytes();
  report.touched_bytes = machine.memory().touched_pages() * kPageSize;
  report.memory_bytes = machine.memory().size();
  report.unsupported = machine.engine().unsupported();
  return report;
}

std::string to_json(const Report& report) {
  nlohmann::ordered_json json;
  json["exit"] = report.exit;
  if (report.debug_exit_code) json["debug_exit_code"] = report.debug_exit_code;
  json["instructions"] = report.instructions;
  json["counted"] = report.counted;
  json["virtual_ns"] = report.virtual_ns;
  json["state_hash"] = report.state_hash;
  json["wall_s"] = report.wall_s;
  json["mips"] = report.mips;
  json["peak_memory_bytes"] = report.peak_memory_bytes;
  json["touched_bytes"] = report.touched_bytes;
  json["engine"] = report.engine;
  json["image"] = report.image;
  if (!report.text_patches.empty()) json["text_patches"] = nlohmann::ordered_json::object();
  for (const auto& [name, count] : report.text_patches) json["text_patches"][name] = count;
  json["memory_bytes"] = report.memory_bytes;
  json["seed"] = report.seed;
  json["components"] = nlohmann::ordered_json::object();
  for (const auto& [name, hash] : report.components) json["components"][name] = hash;
  json["unsupported"] = nlohmann::ordered_json::array();
  for (const UnsupportedInstruction& u : report.unsupported) {
    json["unsupported"].push_back({{"bytes", u.bytes}, {"rip", u.rip}, {"times", u.times}});
  }
  return json.dump(2) + "\n";
}

}  // namespace rondo
