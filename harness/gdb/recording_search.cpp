#include "harness/gdb/recording_search.h"

#include <atomic>
#include <utility>

#include "harness/recordings/playback.h"
#include "replay/checkpoint/background.h"

namespace rondo::gdb {

TimeTravel::Keep checkpoints_of(replay::CheckpointStore& store, u64 events) {
  return [&store, events](InstrCount newer_than, InstrCount at_or_before) -> std::optional<TimeTravel::Kept> {
    // A damaged one is left out, and the next one tried. A writer that died may have left one from after its last
    // event.
    while (const replay::StoredCheckpoint* nearest = store.nearest_at_or_before(at_or_before)) {
      const replay::CheckpointInfo info = nearest->info;
      if (info.moment.count <= newer_than) return std::nullopt;
      if (info.next_event > events) {
        at_or_before = info.moment.count - 1;
        continue;
      }
      if (Result<replay::LoadedCheckpoint> loaded = store.load(nearest->number))
        return {{loaded->snapshot, loaded->info.next_event}};
    }
    return std::nullopt;
  };
}

// The recording, opened once more.
class RecordingSearch::Explorer {
 public:
  static std::unique_ptr<Explorer> open(const std::string& directory) {
    Result<std::unique_ptr<recordings::Playback>> playback = recordings::Playback::open(directory, nullptr);
    if (!playback) return nullptr;
    return std::unique_ptr<Explorer>(new Explorer(std::move(*playback)));
  }
  TimeTravel& travel() { return travel_; }

 private:
  explicit Explorer(std::unique_ptr<recordings::Playback> playback)
      : playback_(std::move(playback)),
        events_(playback_->reader().check().events),
        input_(*playback_),
        travel_(playback_->machine(), input_) {
    travel_.use_kept(checkpoints_of(playback_->checkpoints(), events_));
    travel_.forget_snapshots();
  }

  std::unique_ptr<recordings::Playback> playback_;
  u64 events_;
  RecordedInput input_;
  TimeTravel travel_;
};

RecordingSearch::RecordingSearch(std::string directory, const replay::CheckpointStore& store, unsigned threads)
    : directory_(std::move(directory)), store_(store), threads_(threads) {}

RecordingSearch::~RecordingSearch() = default;

std::unique_ptr<RecordingSearch::Explorer> RecordingSearch::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Explorer> explorer = std::move(idle_.back());
      idle_.pop_back();
      return explorer;
    }
  }
  return Explorer::open(directory_);
}

void RecordingSearch::give_back(std::unique_ptr<Explorer> explorer) {
  if (!explorer) return;
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(explorer));
}

RecordingSearch::Answer RecordingSearch::find(const DebugPoints& points, Position from, Position to,
                                              Direction direction, const std::function<bool(InstrCount)>& ask) {
  std::vector<Position> bounds{from};
  for (const replay::StoredCheckpoint& checkpoint : store_.checkpoints()) {
    const Position at{checkpoint.info.moment.count, 0};
    if (at > bounds.back() && at < to) bounds.push_back(at);
  }
  bounds.push_back(to);
  const u64 stretches = bounds.size() - 1;
  // In the order in which an answer counts: once one has a hit, those after it do not matter.
  std::vector<std::optional<Position>> hits(stretches);
  std::atomic<u64> first_hit{stretches};
  std::atomic<bool> interrupted{false}, failed{false};
  std::mutex asking;

  replay::parallel_for(stretches, threads_, [&] {
    std::shared_ptr<Explorer> explorer(take().release(),
                                       [this](Explorer* e) { give_back(std::unique_ptr<Explorer>(e)); });
    return [&, explorer](u64 piece) {
      if (!explorer) failed = true;
      if (failed || interrupted || piece > first_hit) return;
      TimeTravel& travel = explorer->travel();
      travel.on_poll([&, piece] {
        if (interrupted || piece > first_hit) return false;
        const std::unique_lock lock(asking, std::try_to_lock);
        if (lock.owns_lock() && !ask(travel.position().count)) interrupted = true;
        return !interrupted;
      });
      travel.set_points(points);
      const u64 stretch = direction == Direction::backwards ? stretches - 1 - piece : piece;
      hits[piece] = travel.hit_between(bounds[stretch], bounds[stretch + 1], direction);
      travel.on_poll({});
      u64 best = first_hit;
      while (hits[piece] && piece < best && !first_hit.compare_exchange_weak(best, piece)) {
      }
    };
  });
  if (failed) return {Ended::failed};
  if (interrupted) return {Ended::interrupted};
  return {Ended::searched, first_hit < stretches ? hits[first_hit] : std::nullopt};
}

}  // namespace rondo::gdb
