// The checkpoints of a recording, read: which there are, and the machine's state at any of them. Works while they are
// still being written and thinned out. What is damaged is left out, with what builds on it, and never taken for good.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "replay/checkpoint/head.h"

namespace rondo::replay {

inline constexpr u64 kMostCheckpointFiles = 512;  // of which more are ignored

// What does not fit the manifest is left out.
struct StoreOptions {
  std::string recording_id;
  u64 memory_bytes = 0;              // the machine's RAM; 0: any
  u64 cache_bytes = u64{256} << 20;  // of pages held for the next load
  unsigned threads = 2;              // to read pages with
};
StoreOptions store_options(const Manifest& manifest);

struct StoredCheckpoint {
  u64 number = 0;  // names it in load(); from 1, in the order of their Moments
  CheckpointInfo info;
  std::string path;
  u64 file_bytes = 0;
};

struct LoadedCheckpoint {
  u64 number = 0;
  CheckpointInfo info;
  MachineSnapshot snapshot;
};

class CheckpointStore {
 public:
  // Fails only if the folder is there and cannot be read. A recording without checkpoints has an empty store.
  static Result<CheckpointStore> open(const std::string& recording, const StoreOptions& options = {});
  CheckpointStore(CheckpointStore&&) noexcept;
  CheckpointStore& operator=(CheckpointStore&&) noexcept;
  ~CheckpointStore();

  // The usable ones, in order of count. Their pages are looked at when they are loaded, so one may still turn out
  // damaged.
  const std::vector<StoredCheckpoint>& checkpoints() const;
  // The newest that is not after `count`; null if there is none. Holds until the next call that is not const.
  const StoredCheckpoint* nearest_at_or_before(InstrCount count) const;
  // What is wrong: one line each, with the file's name.
  const std::vector<std::string>& problems() const;

  // The machine at this checkpoint; pages are shared with earlier loads. An error takes it from checkpoints().
  Result<LoadedCheckpoint> load(u64 number);
  // The newest usable one not after `count`, going back further past damaged ones. Fails if there is none.
  Result<LoadedCheckpoint> load_at_or_before(InstrCount count);

  // Looks again for what was added or merged since.
  Status refresh();

 private:
  struct Impl;
  explicit CheckpointStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo::replay
