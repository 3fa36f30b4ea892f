#include "replay/checkpoint/writer.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>

#include "replay/checkpoint/background.h"
#include "replay/checkpoint/chain.h"
#include "replay/format/digest.h"

namespace rondo::replay {
namespace {

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return success();
  if (errno != EEXIST) return errno_error(path, "cannot be made");
  DIR* folder = ::opendir(path.c_str());
  if (!folder) return errno_error(path, "cannot be read");
  bool empty = true;
  while (const dirent* entry = ::readdir(folder)) {
    empty &= std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0;
  }
  ::closedir(folder);
  if (!empty) return file_error(path, "has files already: record into a new directory");
  return success();
}

}  // namespace

struct CheckpointWriter::Impl {
  Impl(const std::string& folder, const CheckpointSettings& settings)
      : schedule(settings.interval, settings.keep),
        chain(folder, recording_digest(settings.recording_id)),
        pool(settings.pool),
        ready_pages(settings.ready_pages),
        queue(std::max(settings.queue, 1u)) {
    queue.push([this, loaded = settings.loaded_pages] { get_pages_ready(loaded); });
  }

  // On the queue's thread, like what it calls. `give_up`: once this one is written.
  void write(const MachineSnapshot& snapshot, const CheckpointInfo& info, const std::vector<InstrCount>& give_up) {
    get_pages_ready(0);
    const Status added = chain.add(snapshot, info);
    const Status thinned = chain.give_up(give_up);
    const std::lock_guard lock(mutex);
    ++(added ? statistics.written : statistics.failed);
    statistics.given_up += give_up.size();
    for (const Status* status : {&added, &thinned}) {
      if (*status) continue;
      if (!first_error) first_error = status->error();
      if (!in_trouble) untold = status->error();
      in_trouble = true;
    }
    if (added && thinned) in_trouble = false;
  }

  void get_pages_ready(u64 more) {
    if (pool) pool->reserve(ready_pages + more);
  }

  CheckpointSchedule schedule;  // the caller's thread
  CheckpointChain chain;        // the queue's thread
  const std::shared_ptr<PagePool> pool;
  const u64 ready_pages;

  mutable std::mutex mutex;  // of what follows
  CheckpointStatistics statistics;
  std::optional<Error> first_error, untold;
  bool in_trouble = false;  // the last job failed

  BackgroundQueue queue;  // last: its thread uses the rest
};

CheckpointWriter::CheckpointWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() = default;

Result<CheckpointWriter> CheckpointWriter::create(const std::string& recording, const CheckpointSettings& settings) {
  const std::string folder = recording + "/" + kCheckpointFolder;
  if (auto made = make_folder(folder); !made) return made.error();
  try {
    return CheckpointWriter(std::make_unique<Impl>(folder, settings));
  } catch (const std::system_error& error) {
    return file_error(folder, std::string("no thread to write checkpoints with: ") + error.what());
  }
}

std::optional<InstrCount> CheckpointWriter::next(InstrCount now) const { return impl_->schedule.next(now); }

bool CheckpointWriter::add(MachineSnapshot snapshot, const CheckpointInfo& info) {
  const std::vector<InstrCount>& retained = impl_->schedule.retained();
  if (!retained.empty() && info.moment.count <= retained.back()) return false;
  auto write = [impl = impl_.get(), snapshot = std::move(snapshot), info,
                give_up = impl_->schedule.taken(info.moment.count)] { impl->write(snapshot, info, give_up); };
  if (impl_->queue.push(std::move(write))) {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->statistics.waits;
  }
  return true;
}

std::optional<Error> CheckpointWriter::take_error() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->untold, std::nullopt);
}

Status CheckpointWriter::finish() {
  impl_->queue.drain();
  const std::lock_guard lock(impl_->mutex);
  if (impl_->first_error) return *impl_->first_error;
  return success();
}

CheckpointStatistics CheckpointWriter::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->statistics;
}

}  // namespace rondo::replay
