// The files of a recording's checkpoints as their writer sees them: each holds what changed since the one before, and
// contents that an earlier one has are not stored again. For one thread.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/snapshot.h"
#include "replay/checkpoint/checkpoint_file.h"
#include "replay/checkpoint/file_builder.h"

namespace rondo::replay {

// "00000000000100000000.ckpt": names in order of the count.
std::string checkpoint_file_name(InstrCount count);

class CheckpointChain {
 public:
  CheckpointChain(std::string folder, u64 recording) : folder_(std::move(folder)), recording_(recording) {}

  // Writes one more checkpoint. After an error it is as if it had not been asked for.
  Status add(const MachineSnapshot& snapshot, const CheckpointInfo& info);
  // Merges the checkpoints of these counts into what follows them. Those that cannot be merged stay, to be tried again
  // the next time; counts that are not there are left out.
  Status give_up(std::span<const InstrCount> counts);

  u64 size() const { return links_.size(); }

 private:
  struct Link {
    u64 number;
    InstrCount count;
    bool given_up = false;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  std::string path(InstrCount count) const { return folder_ + "/" + checkpoint_file_name(count); }
  std::vector<PageEntry> changes_since_last(const PageMap& memory) const;
  Status store_new_contents(const PageMap& memory, std::span<const PageEntry> entries, CheckpointFileBuilder& builder);
  Status merge(std::size_t first, std::size_t last);
  Status copy_contents(CheckpointFile& from, CheckpointFileBuilder& to, std::vector<Hash128>& dropped);

  std::string folder_;
  u64 recording_;
  Compressor compressor_;
  FrameReader frame_reader_;
  std::vector<Link> links_;
  u64 next_number_ = 1;
  // The newest checkpoint: what the next is compared with.
  PageMap memory_;
  Hash128 identity_;
  std::vector<u64> changed_;  // indices in its page table, in order
  // Contents that a file of the chain stores, each with the number of page-table entries that name it. One that no
  // entry names any more is dropped when its file is merged.
  std::unordered_map<Hash128, u64, HashOfHash> stored_;
};

}  // namespace rondo::replay
