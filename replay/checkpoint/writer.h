// Takes checkpoints of a recording while it is made: add() queues a snapshot, and one thread of the host compares,
// compresses and writes it. Checkpoints help to seek; a recording without them, or with some missing, is as good as
// any.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/snapshot.h"
#include "replay/checkpoint/head.h"
#include "replay/checkpoint/schedule.h"

namespace rondo::replay {

inline constexpr char kCheckpointFolder[] = "checkpoints";

struct CheckpointSettings {
  std::string recording_id;                   // of the manifest: a checkpoint of another recording is no use
  u64 interval = kDefaultCheckpointInterval;  // instructions between the first checkpoints; 0: only on demand
  u32 keep = kDefaultCheckpointsKept;         // at most so many files (kFewest ... kMostCheckpointsKept)
  u32 queue = 2;                              // snapshots that may wait to be written; beyond that add() waits
  // Where snapshots take their pages from, if known, and how many free ones the writing thread keeps at hand there:
  // those of the host have to be cleared and mapped first, which takes longer than to copy the guest's.
  std::shared_ptr<PagePool> pool;
  u64 ready_pages = 10'240;  // about what a guest writes in an interval
  u64 loaded_pages = 0;      // what memory holds before the run: the first snapshot takes them as well
};

struct CheckpointStatistics {
  u64 written = 0;   // checkpoints
  u64 failed = 0;    // dropped because of an error
  u64 given_up = 0;  // asked to be merged into later ones
  u64 waits = 0;     // times that add() had to wait for the writing thread
};

class CheckpointWriter {
 public:
  // Makes RECORDING/checkpoints, which must be empty if it exists. The recording itself exists.
  static Result<CheckpointWriter> create(const std::string& recording, const CheckpointSettings& settings = {});
  CheckpointWriter(CheckpointWriter&&) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();  // writes what is queued; errors are lost, so call finish()

  // When the next checkpoint is due: a count after `now`; none if all are on demand.
  std::optional<InstrCount> next(InstrCount now) const;
  // Queues a checkpoint, due or on demand, and returns at once unless the queue is full. Counts never decrease; at the
  // count of the one before there is a checkpoint already, and this one is left out. Returns whether it was queued.
  bool add(MachineSnapshot snapshot, const CheckpointInfo& info);
  // An error that was not told yet: its checkpoint was dropped, and whatever the earlier ones need is intact. Of errors
  // that follow each other only the first is told. The recording goes on, and so do later checkpoints.
  std::optional<Error> take_error();
  // Waits until everything is written; the first error there was, told before or not. add() may not be called again.
  Status finish();

  CheckpointStatistics statistics() const;

 private:
  struct Impl;
  explicit CheckpointWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo::replay
