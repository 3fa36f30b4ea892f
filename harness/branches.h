// Many independent machines from one snapshot.
//
//     const MachineSnapshot snapshot = board.machine().snapshot();
//     BranchPool pool(config);
//     Result<Branch> branch = pool.branch(snapshot);
//     branch->machine().run(limits);
//
// A branch is a live Board at the snapshot. Its board comes from the pool and goes back to it, warm; so a branch costs
// the pages that the one before it has written, not RAM. Several may live at once and in several threads, one thread to
// a branch. A branch may be snapshot in its turn.
#pragma once

#include <memory>

#include "core/snapshot.h"
#include "harness/board.h"

namespace rondo {

class Branch {
 public:
  Branch(Branch&&) noexcept;
  Branch& operator=(Branch&&) noexcept;
  // The board goes back to the pool.
  ~Branch();

  Board& board();
  Machine& machine() { return board().machine(); }

 private:
  friend class BranchPool;
  struct Seat;
  struct Shared;
  Branch(std::shared_ptr<Shared> shared, std::unique_ptr<Seat> seat);
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<Seat> seat_;
};

// Branches may outlive it. Its functions may be called from any thread.
class BranchPool {
 public:
  // config: of the board that the snapshots were taken from. Its images are not loaded and its console is not used.
  explicit BranchPool(const BoardConfig& config);

  // console: gets what the guest writes from here on; outlives the branch. Null: discarded. Costs, beside, the pages in
  // which this snapshot differs from the one that the board was used for last.
  Result<Branch> branch(const MachineSnapshot& snapshot, CharacterSink* console = nullptr);

 private:
  std::shared_ptr<Branch::Shared> shared_;
};

}  // namespace rondo
