// `rondo run`: boots a machine and runs it to an end or a limit.
#pragma once

#include <optional>
#include <string>

#include "harness/board.h"
#include "harness/kvm/host.h"
#include "harness/recordings/plant.h"
#include "harness/values.h"
#include "replay/format/manifest.h"

namespace rondo::cli {

struct RunOptions {
  BoardConfig board;  // without its images
  std::string kernel_path;
  std::string initrd_path;
  std::string engine = "software";
  unsigned cpus = 1;
  std::string console = "stdio";
  std::string report_path;
  std::string record_path;  // empty: not recorded
  // In instructions; on KVM in synchronous events. Without a value: defaults of the engine.
  std::optional<u64> hash_interval, checkpoint_interval;
  bool rtc_from_host = false;   // the guest's clock starts at the host's time, which is recorded
  bool seed_from_host = false;  // the seed is drawn from the host's randomness, and recorded
  std::optional<InstrCount> max_instructions;
  std::optional<VirtualNs> max_time;
  std::optional<u64> max_wall_ns;
  std::optional<TraceRange> trace;
  bool single_step = false;
  std::optional<InstrCount> save_at;
  std::string save_path;
  std::string restore_path;
  std::vector<recordings::Plant> plants;
  u64 kick_every_ns = kKickEveryNs;  // on KVM
  bool kernel_on_kvm = false;        // also where that is slower than the software engine
  bool insist = false;               // record although a guest could observe what no log holds
};

// Returns the exit status. Errors are one line on standard error.
int run_command(const RunOptions& options);

}  // namespace rondo::cli
