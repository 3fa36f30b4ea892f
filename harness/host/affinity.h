// Which of the host's processors a thread runs on.
#pragma once

#include <memory>
#include <vector>

#include "core/base/types.h"

namespace rondo::host {

// The processors that the calling thread may run on.
std::vector<unsigned> allowed_processors();
unsigned current_processor();

// The calling thread stays on one processor while this lives. Where the host does not let it, nothing changes.
class PinnedThread {
 public:
  explicit PinnedThread(unsigned processor);
  ~PinnedThread();
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;
  bool pinned() const { return pinned_; }

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
  bool pinned_ = false;
};

}  // namespace rondo::host
