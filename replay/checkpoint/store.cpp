#include "replay/checkpoint/store.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "core/memory/memory_hash.h"
#include "core/memory/physical_memory.h"
#include "replay/checkpoint/chain.h"
#include "replay/checkpoint/page_loader.h"
#include "replay/checkpoint/writer.h"
#include "replay/format/digest.h"

namespace rondo::replay {
namespace {

bool is_checkpoint_name(const std::string& name) {
  const std::string pattern = checkpoint_file_name(InstrCount{0});
  if (name.size() != pattern.size() || name.substr(20) != pattern.substr(20)) return false;
  return std::all_of(name.begin(), name.begin() + 20, [](char c) { return c >= '0' && c <= '9'; });
}

// In order of count; the first of them if there are too many.
Result<std::set<std::string>> list_names(const std::string& folder, std::vector<std::string>& problems) {
  std::set<std::string> names;
  DIR* directory = ::opendir(folder.c_str());
  if (!directory) {
    if (errno == ENOENT) return names;
    return errno_error(folder, "cannot be read");
  }
  bool too_many = false;
  while (const dirent* entry = ::readdir(directory)) {
    if (is_checkpoint_name(entry->d_name)) names.insert(entry->d_name);
    if (names.size() <= kMostCheckpointFiles) continue;
    names.erase(std::prev(names.end()));
    too_many = true;
  }
  ::closedir(directory);
  if (too_many) {
    const std::string most = std::to_string(kMostCheckpointFiles);
    problems.push_back(
        file_error(folder, "has more than " + most + " checkpoints: the later ones are ignored").message);
  }
  return names;
}

// Held open, so that what was seen of a chain stays whole when the writer merges files.
struct OpenFile {
  CheckpointFile file;
  const FileBytes* bytes;    // the file's
  std::string failure;       // why it cannot be loaded, once that was tried
  OpenFile* base = nullptr;  // what it builds on, if anything
};

}  // namespace

struct CheckpointStore::Impl {
  Impl(std::string path, const StoreOptions& o) : folder(std::move(path)), options(o), cache(o.cache_bytes) {}

  // Both return false if they saw what a writer at work can cause for a moment: a file gone between two steps.
  Result<bool> scan();
  bool link_up();
  // Why the file cannot be used, empty if it can; sets its base.
  std::string check(const std::string& name, OpenFile& open);
  Result<LoadedCheckpoint> load(const OpenFile& target);

  std::string folder;
  StoreOptions options;
  std::map<std::string, std::unique_ptr<OpenFile>> files;  // by name, and so by count
  std::map<u64, OpenFile*> by_number;                      // those with an unbroken chain below them
  std::vector<StoredCheckpoint> usable;
  std::vector<std::string> problems;
  std::shared_ptr<PagePool> pool = PagePool::create();
  PageCache cache;
};

Result<bool> CheckpointStore::Impl::scan() {
  problems.clear();
  const auto names = list_names(folder, problems);
  if (!names) return names.error();
  bool settled = true;
  std::map<std::string, std::unique_ptr<OpenFile>> found;
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    if (const auto known = files.find(name); known != files.end() && known->second->bytes->still_at(path)) {
      found[name] = std::move(known->second);
      continue;
    }
    auto bytes = FileBytes::open(path);
    if (!bytes) {
      settled &= exists(path);
      problems.push_back(bytes.error().message);
      continue;
    }
    const FileBytes* raw = bytes->get();
    auto file = CheckpointFile::open(std::move(*bytes), path);
    if (!file) {
      problems.push_back(file.error().message);
      continue;
    }
    found[name] = std::make_unique<OpenFile>(OpenFile{std::move(*file), raw, {}, nullptr});
  }
  files = std::move(found);
  return link_up() && settled;
}

bool CheckpointStore::Impl::link_up() {
  usable.clear();
  by_number.clear();
  bool settled = true;
  for (const auto& [name, open] : files) {
    const CheckpointHead& head = open->file.head();
    const std::string why = check(name, *open);
    if (!why.empty()) {
      problems.push_back(open->file.damaged(why).message);
      settled &= head.covers_from == 1 || by_number.contains(head.covers_from - 1);
      continue;
    }
    by_number[head.number] = open.get();
    if (open->failure.empty()) {
      usable.push_back({head.number, head.info, open->file.path(), open->file.size()});
    } else {
      problems.push_back(open->failure);
    }
  }
  return settled;
}

std::string CheckpointStore::Impl::check(const std::string& name, OpenFile& open) {
  const CheckpointHead& head = open.file.head();
  if (name != checkpoint_file_name(head.info.moment.count)) return "its name does not fit its count";
  if (head.recording != recording_digest(options.recording_id)) return "it is of another recording";
  if (head.memory_bytes > kMaximumRam || head.memory_bytes % kPageSize != 0 ||
      (options.memory_bytes != 0 && head.memory_bytes != options.memory_bytes)) {
    return "it is of a machine with " + std::to_string(head.memory_bytes) + " bytes of memory";
  }
  if (by_number.contains(head.number)) return "it has the number of '" + by_number[head.number]->file.path() + "'";
  open.base = nullptr;
  if (head.covers_from == 1) return head.base == Hash128{} ? "" : "it builds on a checkpoint that there cannot be";
  const auto base = by_number.find(head.covers_from - 1);
  if (base == by_number.end())
    return "checkpoint " + std::to_string(head.covers_from - 1) + ", on which it builds, is not there or is damaged";
  const CheckpointHead& below = base->second->file.head();
  if (below.identity() != head.base || below.memory_bytes != head.memory_bytes) {
    return "it does not build on '" + base->second->file.path() + "'";
  }
  open.base = base->second;
  return "";
}

Result<LoadedCheckpoint> CheckpointStore::Impl::load(const OpenFile& target) {
  std::vector<CheckpointFile*> chain;
  for (const OpenFile* open = &target; open; open = open->base)
    chain.push_back(const_cast<CheckpointFile*>(&open->file));
  std::reverse(chain.begin(), chain.end());
  std::vector<std::span<const PageEntry>> tables;
  for (CheckpointFile* file : chain) {
    const auto pages = file->pages();
    if (!pages) return pages.error();
    tables.push_back(**pages);
  }
  const CheckpointHead& head = target.file.head();
  const std::vector<PageEntry> entries = overlay_all(tables);
  if (!entries.empty() && entries.back().index >= head.memory_bytes / kPageSize) {
    return target.file.damaged("a page lies outside memory");
  }
  auto state = target.file.read_state();
  if (!state) return state.error();
  auto memory = load_pages(entries, chain, *pool, cache, options.threads);
  if (!memory) return memory.error();
  if (memory_hash(*memory) != head.memory) {
    return target.file.damaged("its pages do not give the memory that it names");
  }
  const Moment& moment = head.info.moment;
  return LoadedCheckpoint{
      head.number, head.info, {std::move(*state), std::move(*memory), head.memory_bytes, moment.count, moment.time}};
}

StoreOptions store_options(const Manifest& manifest) {
  StoreOptions options;
  options.recording_id = manifest.recording_id;
  options.memory_bytes = manifest.machine.memory_bytes;
  return options;
}

CheckpointStore::CheckpointStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointStore::CheckpointStore(CheckpointStore&&) noexcept = default;
CheckpointStore& CheckpointStore::operator=(CheckpointStore&&) noexcept = default;
CheckpointStore::~CheckpointStore() = default;

Result<CheckpointStore> CheckpointStore::open(const std::string& recording, const StoreOptions& options) {
  CheckpointStore store(std::make_unique<Impl>(recording + "/" + kCheckpointFolder, options));
  if (auto scanned = store.refresh(); !scanned) return scanned.error();
  return store;
}

Status CheckpointStore::refresh() {
  constexpr int kTries = 5;  // a writer merges files far more rarely than we look
  for (int i = 0; i < kTries; ++i) {
    const auto settled = impl_->scan();
    if (!settled) return settled.error();
    if (*settled) break;
  }
  return success();
}

const std::vector<StoredCheckpoint>& CheckpointStore::checkpoints() const { return impl_->usable; }
const std::vector<std::string>& CheckpointStore::problems() const { return impl_->problems; }

const StoredCheckpoint* CheckpointStore::nearest_at_or_before(InstrCount count) const {
  const auto after = std::upper_bound(impl_->usable.begin(), impl_->usable.end(), count,
                                      [](InstrCount a, const StoredCheckpoint& b) { return a < b.info.moment.count; });
  return after == impl_->usable.begin() ? nullptr : &*std::prev(after);
}

Result<LoadedCheckpoint> CheckpointStore::load(u64 number) {
  const auto is_it = [&](const StoredCheckpoint& checkpoint) { return checkpoint.number == number; };
  const auto listed = std::find_if(impl_->usable.begin(), impl_->usable.end(), is_it);
  if (listed == impl_->usable.end()) {
    return file_error(impl_->folder, "has no usable checkpoint " + std::to_string(number));
  }
  OpenFile& target = *impl_->by_number.at(number);
  auto loaded = impl_->load(target);
  if (!loaded) {
    target.failure = loaded.error().message;
    impl_->problems.push_back(target.failure);
    impl_->usable.erase(listed);
  }
  return loaded;
}

Result<LoadedCheckpoint> CheckpointStore::load_at_or_before(InstrCount count) {
  while (const StoredCheckpoint* nearest = nearest_at_or_before(count)) {
    if (auto loaded = load(nearest->number)) return loaded;
  }
  return file_error(impl_->folder, "has no usable checkpoint at or before count " + std::to_string(count.value));
}

}  // namespace rondo::replay
