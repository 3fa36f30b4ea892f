#include "replay/checkpoint/chain.h"

#include <unistd.h>

#include <algorithm>

#include "core/memory/memory_hash.h"

namespace rondo::replay {

std::string checkpoint_file_name(InstrCount count) {
  std::string digits = std::to_string(count.value);
  return std::string(20 - digits.size(), '0') + digits + ".ckpt";
}

Status CheckpointChain::add(const MachineSnapshot& snapshot, const CheckpointInfo& info) {
  const std::vector<PageEntry> entries = changes_since_last(snapshot.memory);
  auto builder = CheckpointFileBuilder::create(path(info.moment.count), compressor_);
  if (!builder) return builder.error();
  if (auto stored = store_new_contents(snapshot.memory, entries, *builder); !stored) return stored;

  CheckpointHead head;
  head.recording = recording_;
  head.number = next_number_;
  head.covers_from = next_number_;
  head.base = identity_;
  head.info = info;
  head.memory_bytes = snapshot.memory_bytes;
  head.memory = memory_hash(snapshot.memory);
  head.state_bytes = snapshot.state.size();
  const std::span<const u8> state = compressor_.compress(snapshot.state);
  const auto identity = builder->finish(std::vector(state.begin(), state.end()), entries, head);
  if (!identity) return identity.error();

  links_.push_back({next_number_++, info.moment.count});
  memory_ = snapshot.memory;
  identity_ = *identity;
  changed_.clear();
  for (const PageEntry& entry : entries) {
    changed_.push_back(entry.index);
    if (!entry.is_zero()) ++stored_[entry.hash];
  }
  return success();
}

std::vector<PageEntry> CheckpointChain::changes_since_last(const PageMap& memory) const {
  std::vector<PageEntry> entries;
  memory.for_each_difference(memory_, [&](u64 index, const Page* before, const Page* after) {
    const Hash128 hash = after ? after->hash() : Hash128{};
    if (hash != (before ? before->hash() : Hash128{})) entries.push_back({index, hash});
  });
  return entries;
}

Status CheckpointChain::store_new_contents(const PageMap& memory, std::span<const PageEntry> entries,
                                           CheckpointFileBuilder& builder) {
  std::vector<PageEntry> fresh;
  std::unordered_map<Hash128, u64, HashOfHash> here;
  for (const PageEntry& entry : entries) {
    if (entry.is_zero() || stored_.contains(entry.hash) || !here.emplace(entry.hash, entry.index).second) continue;
    fresh.push_back(entry);
  }
  // A page that changed the last time too will soon change again: its content is then needed by nobody, while that of
  // the others stays. So the two kinds do not share frames.
  const auto first_hot = std::stable_partition(fresh.begin(), fresh.end(), [&](const PageEntry& entry) {
    return !std::binary_search(changed_.begin(), changed_.end(), entry.index);
  });
  for (auto entry = fresh.begin(); entry != fresh.end(); ++entry) {
    if (entry == first_hot) {
      if (auto ended = builder.end_frame(); !ended) return ended;
    }
    if (auto added = builder.add_page(entry->hash, memory.get(entry->index)->bytes()); !added) return added;
  }
  return success();
}

Status CheckpointChain::give_up(std::span<const InstrCount> counts) {
  for (Link& link : links_) {
    link.given_up |= std::find(counts.begin(), counts.end(), link.count) != counts.end();
  }
  Status status = success();
  for (std::size_t first = 0; first < links_.size(); ++first) {
    if (!links_[first].given_up) continue;
    std::size_t last = first;  // the first that stays
    while (last < links_.size() && links_[last].given_up) ++last;
    if (last == links_.size()) break;  // nothing follows to merge them into
    if (auto merged = merge(first, last); !merged) {
      if (status) status = merged;
      first = last;
      continue;
    }
    links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(first),
                 links_.begin() + static_cast<std::ptrdiff_t>(last));
  }
  return status;
}

// Links first ... last - 1 become part of link `last`. The new file takes the old one's name in one step, and the
// others go from the newest to the oldest: whenever this ends, each file that is left finds the one it builds on.
Status CheckpointChain::merge(std::size_t first, std::size_t last) {
  std::vector<CheckpointFile> files;
  for (std::size_t i = first; i <= last; ++i) {
    auto bytes = FileBytes::open(path(links_[i].count));
    if (!bytes) return bytes.error();
    auto file = CheckpointFile::open(std::move(*bytes), path(links_[i].count));
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  std::vector<PageEntry> entries;
  std::vector<Hash128> superseded;
  for (CheckpointFile& file : files) {
    const auto pages = file.pages();
    if (!pages) return pages.error();
    for (const PageEntry& before : entries) {
      const auto after = std::lower_bound((*pages)->begin(), (*pages)->end(), before,
                                          [](const PageEntry& a, const PageEntry& b) { return a.index < b.index; });
      const bool replaced = after != (*pages)->end() && after->index == before.index;
      if (replaced && !before.is_zero()) superseded.push_back(before.hash);
    }
    entries = overlay(entries, **pages);
  }

  // From here on the counts say what the merged chain needs; they are put back if it does not come about.
  for (const Hash128& hash : superseded) --stored_[hash];
  std::vector<Hash128> dropped;
  const auto write = [&]() -> Status {
    auto builder = CheckpointFileBuilder::create(path(links_[last].count), compressor_);
    if (!builder) return builder.error();
    for (CheckpointFile& file : files) {
      if (auto copied = copy_contents(file, *builder, dropped); !copied) return copied;
    }
    const auto state = files.back().read_stored_state();
    if (!state) return state.error();
    CheckpointHead head = files.back().head();
    head.covers_from = files.front().head().covers_from;
    head.base = files.front().head().base;
    if (auto finished = builder->finish(*state, entries, head); !finished) return finished.error();
    return success();
  };
  if (auto written = write(); !written) {
    for (const Hash128& hash : superseded) ++stored_[hash];
    return written;
  }
  for (const Hash128& hash : dropped) stored_.erase(hash);
  for (std::size_t i = last; i-- > first;) ::unlink(path(links_[i].count).c_str());
  return success();
}

// Frames in which everything is still needed are copied as they are, the others repacked.
Status CheckpointChain::copy_contents(CheckpointFile& from, CheckpointFileBuilder& to, std::vector<Hash128>& dropped) {
  const auto contents = from.contents();
  if (!contents) return contents.error();
  const auto needed = [&](const Hash128& hash) {
    const auto found = stored_.find(hash);
    return found != stored_.end() && found->second != 0;
  };
  for (const Frame& frame : (*contents)->frames) {
    const std::span hashes = std::span((*contents)->hashes).subspan(frame.first, frame.pages);
    const auto used = static_cast<u64>(std::count_if(hashes.begin(), hashes.end(), needed));
    if (used == frame.pages) {
      if (auto read = from.read_stored_frame(frame, frame_reader_.stored); !read) return read;
      if (auto added = to.add_stored_frame(frame_reader_.stored, hashes); !added) return added;
      continue;
    }
    if (used != 0) {
      if (auto read = from.read_frame(frame, frame_reader_); !read) return read;
    }
    for (u32 slot = 0; slot < frame.pages; ++slot) {
      if (!needed(hashes[slot])) {
        dropped.push_back(hashes[slot]);
        continue;
      }
      const std::span<const u8, kPageSize> page(frame_reader_.pages.data() + slot * kPageSize, kPageSize);
      if (auto added = to.add_page(hashes[slot], page); !added) return added;
    }
  }
  return success();
}

}  // namespace rondo::replay
