// What is told about a run when it has ended.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/machine.h"

namespace rondo {

struct Report {
  std::string exit;  // to_string(ExitReason)
  u32 debug_exit_code = 0;
  u64 instructions = 0;
  std::string counted = "instructions";  // what that is a number of; on KVM "events"
  u64 virtual_ns = 0;
  std::string state_hash;
  Machine::ComponentHashes components;  // hash of each part of the machine
  double wall_s = 0;
  double mips = 0;  // instructions of this run, not of the state it was resumed from, per microsecond of host time
  u64 peak_memory_bytes = 0;  // of the whole process
  u64 touched_bytes = 0;      // of guest memory: pages that were ever written
  std::string engine = "software";
  std::string image;                                      // Board::image_kind()
  std::vector<std::pair<std::string, u64>> text_patches;  // instructions that were replaced in it: how many of each
  u64 memory_bytes = 0;
  u64 seed = 0;
  std::vector<UnsupportedInstruction> unsupported;
};

// `first_count` is the count at which this run began.
Report make_report(Machine& machine, const RunResult& result, InstrCount first_count, double wall_s);
// Indented JSON with a final line feed.
std::string to_json(const Report& report);

}  // namespace rondo
