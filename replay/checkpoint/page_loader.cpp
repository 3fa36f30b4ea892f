#include "replay/checkpoint/page_loader.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "core/state/hash.h"
#include "replay/checkpoint/background.h"

namespace rondo::replay {
namespace {

using Entry = PageCache::Entry;

bool by_hash(const Entry& a, const Entry& b) { return a.first < b.first; }

// Finds hashes in an ordered list. The first bits lead to a short stretch of it; a list made to defeat that costs a
// binary search and no more.
class HashIndex {
 public:
  explicit HashIndex(std::span<const Entry> ordered) : ordered_(ordered), starts_(kStretches + 1) {
    for (const Entry& entry : ordered) ++starts_[stretch_of(entry.first) + 1];
    for (u64 i = 1; i <= kStretches; ++i) starts_[i] += starts_[i - 1];
  }
  std::optional<u64> find(const Hash128& hash) const {
    const u64 stretch = stretch_of(hash);
    const auto first = ordered_.begin() + static_cast<std::ptrdiff_t>(starts_[stretch]);
    const auto last = ordered_.begin() + static_cast<std::ptrdiff_t>(starts_[stretch + 1]);
    const auto at = std::lower_bound(first, last, hash, [](const Entry& a, const Hash128& b) { return a.first < b; });
    if (at == last || at->first != hash) return std::nullopt;
    return static_cast<u64>(at - ordered_.begin());
  }

 private:
  static constexpr unsigned kBits = 15;
  static constexpr u64 kStretches = u64{1} << kBits;
  static u64 stretch_of(const Hash128& hash) { return hash.high >> (64 - kBits); }
  std::span<const Entry> ordered_;
  std::vector<u64> starts_;
};

// A page to read: which of the contents that are wanted, and where it is.
struct Source {
  const Frame* frame = nullptr;
  CheckpointFile* file = nullptr;
  u32 slot = 0;
  u64 wanted = 0;
};

std::vector<Entry> wanted_contents(std::span<const PageEntry> entries) {
  std::vector<Entry> wanted;
  wanted.reserve(entries.size());
  for (const PageEntry& entry : entries) wanted.emplace_back(entry.hash, PageRef());
  std::sort(wanted.begin(), wanted.end(), by_hash);
  const auto same = [](const Entry& a, const Entry& b) { return a.first == b.first; };
  wanted.erase(std::unique(wanted.begin(), wanted.end(), same), wanted.end());
  return wanted;
}

// Where what is not there yet is stored, frame by frame. Fails if something is stored nowhere.
Result<std::vector<Source>> locate(std::span<const Entry> wanted, const HashIndex& index,
                                   std::span<CheckpointFile* const> chain) {
  std::vector<Source> sources;
  std::vector<bool> found(wanted.size());
  u64 missing = 0;
  for (u64 i = 0; i < wanted.size(); ++i) {
    found[i] = static_cast<bool>(wanted[i].second);
    missing += found[i] ? 0 : 1;
  }
  for (CheckpointFile* file : chain) {
    if (missing == 0) break;
    const auto contents = file->contents();
    if (!contents) return contents.error();
    for (const Frame& frame : (*contents)->frames) {
      for (u32 slot = 0; slot < frame.pages; ++slot) {
        const auto at = index.find((*contents)->hashes[frame.first + slot]);
        if (!at || found[*at]) continue;
        found[*at] = true;
        --missing;
        sources.push_back({&frame, file, slot, *at});
      }
    }
  }
  if (missing != 0) return chain.back()->damaged("contents that it names are stored nowhere");
  return sources;
}

Status read_sources(std::span<const Source> sources, std::span<Entry> wanted, PagePool& pool, unsigned threads) {
  std::vector<std::span<const Source>> frames;  // those of one frame lie side by side
  for (u64 first = 0, i = 1; i <= sources.size(); ++i) {
    if (i < sources.size() && sources[i].frame == sources[first].frame) continue;
    frames.push_back(sources.subspan(first, i - first));
    first = i;
  }
  std::mutex mutex;
  std::optional<Error> error;
  std::atomic<bool> failed{false};
  parallel_for(frames.size(), threads, [&] {
    return [&, reader = FrameReader()](u64 piece) mutable {
      if (failed) return;
      const auto fail = [&](const Error& why) {
        const std::lock_guard lock(mutex);
        if (!error) error = why;
        failed = true;
      };
      const CheckpointFile& file = *frames[piece].front().file;
      if (auto read = file.read_frame(*frames[piece].front().frame, reader); !read) return fail(read.error());
      for (const Source& source : frames[piece]) {
        const std::span<const u8, kPageSize> page(reader.pages.data() + source.slot * kPageSize, kPageSize);
        auto& [hash, ref] = wanted[source.wanted];
        if (hash128(page) != hash) return fail(file.damaged("the hash of a page is wrong"));
        ref = pool.make(page, hash);
      }
    };
  });
  if (error) return *error;
  return success();
}

}  // namespace

void PageCache::find(std::span<Entry> wanted) const {
  auto have = entries_.begin();
  for (auto& [hash, page] : wanted) {
    while (have != entries_.end() && have->first < hash) ++have;
    if (have == entries_.end()) return;
    if (have->first == hash) page = have->second;
  }
}

void PageCache::keep(std::span<const Entry> loaded) {
  loaded = loaded.first(std::min<u64>(loaded.size(), budget_pages_));
  std::vector<Entry> others;
  std::set_difference(entries_.begin(), entries_.end(), loaded.begin(), loaded.end(), std::back_inserter(others),
                      by_hash);
  others.resize(std::min<u64>(others.size(), budget_pages_ - loaded.size()));
  entries_.clear();
  std::merge(loaded.begin(), loaded.end(), others.begin(), others.end(), std::back_inserter(entries_), by_hash);
}

Result<PageMap> load_pages(std::span<const PageEntry> entries, std::span<CheckpointFile* const> chain, PagePool& pool,
                           PageCache& cache, unsigned threads) {
  std::vector<Entry> wanted = wanted_contents(entries);
  cache.find(wanted);
  const HashIndex index(wanted);
  const auto sources = locate(wanted, index, chain);
  if (!sources) return sources.error();
  if (auto read = read_sources(*sources, wanted, pool, threads); !read) return read.error();
  PageMap memory;
  for (const PageEntry& entry : entries) memory.set(entry.index, wanted[*index.find(entry.hash)].second);
  cache.keep(wanted);
  return memory;
}

}  // namespace rondo::replay
