// From page tables to pages: finds where each content is stored, and reads only the frames that hold one that is
// needed.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "core/memory/page_map.h"
#include "replay/checkpoint/checkpoint_file.h"

namespace rondo::replay {

// Pages that were loaded before, so that several loads share them. Holds at most `budget` bytes of pages; those of the
// last load are the last to go.
class PageCache {
 public:
  using Entry = std::pair<Hash128, PageRef>;

  explicit PageCache(u64 budget) : budget_pages_(budget / kPageSize) {}
  // Fills in what is there. `wanted` is ordered by hash.
  void find(std::span<Entry> wanted) const;
  // `loaded` is ordered by hash.
  void keep(std::span<const Entry> loaded);

 private:
  u64 budget_pages_;
  std::vector<Entry> entries_;  // ordered by hash
};

// The pages of `entries`, whose contents are stored in the files of `chain` (oldest first). Every page's hash is
// checked.
Result<PageMap> load_pages(std::span<const PageEntry> entries, std::span<CheckpointFile* const> chain, PagePool& pool,
                           PageCache& cache, unsigned threads);

}  // namespace rondo::replay
