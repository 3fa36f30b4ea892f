// Looks through a recording on all processors: each stretch between two checkpoints by a machine of its own, which
// plays it with the debugger's points in.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/gdb/time_travel.h"
#include "replay/checkpoint/store.h"

namespace rondo::gdb {

// The checkpoints of a recording, of which `events` events can be read, as TimeTravel takes them.
TimeTravel::Keep checkpoints_of(replay::CheckpointStore& store, u64 events);

class RecordingSearch {
 public:
  // `directory`: the recording; `store` has its checkpoints and outlives this.
  RecordingSearch(std::string directory, const replay::CheckpointStore& store, unsigned threads);
  ~RecordingSearch();

  enum class Ended : u8 { searched, interrupted, failed };
  struct Answer {
    Ended ended = Ended::searched;
    std::optional<Position> hit = {};
  };
  // The last hit (backwards) or the first (forwards) that is not before `from` and before `to`. `ask` is called now and
  // then, from this thread, with where it looks: false interrupts. Failed: a machine could not be made, and nothing is
  // known.
  Answer find(const DebugPoints& points, Position from, Position to, Direction direction,
              const std::function<bool(InstrCount)>& ask);

 private:
  class Explorer;
  std::unique_ptr<Explorer> take();
  void give_back(std::unique_ptr<Explorer> explorer);

  std::string directory_;
  const replay::CheckpointStore& store_;
  unsigned threads_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Explorer>> idle_;  // kept: a machine takes a while to make
};

}  // namespace rondo::gdb
