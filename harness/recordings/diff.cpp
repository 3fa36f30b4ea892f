#include "harness/recordings/diff.h"

#include <algorithm>

#include "replay/checkpoint/store.h"

namespace rondo::recordings {
namespace {

using replay::Bracket;
using replay::PlayEnd;
using replay::Position;
using replay::SearchLimits;

// How often two executions are compared while nothing says where they differ, in instructions.
constexpr u64 kCoarse = 20'000'000;
// The same with the reference drive on one side, which takes much longer than a comparison.
constexpr u64 kCoarseStepping = 1'000'000;

std::vector<Plant> joined(std::vector<Plant> plants, const std::vector<Plant>& more) {
  plants.insert(plants.end(), more.begin(), more.end());
  return plants;
}

std::string number(InstrCount count) { return std::to_string(count.value); }

// Reports what the sides do.
class Teller {
 public:
  explicit Teller(const DiffProgress& progress) : progress_(progress) {}
  void attend(DiffSide& side) {
    if (!progress_) return;
    side.on_progress([this, &side] { progress_(doing_, from_, to_, side.machine().clock()); });
  }
  void begin(std::string doing, InstrCount from, InstrCount to) {
    doing_ = std::move(doing);
    from_ = from;
    to_ = to;
  }
  replay::SearchProgress narrowing() {
    return [this](InstrCount from, InstrCount to) {
      from_ = from;
      to_ = to;
    };
  }

 private:
  const DiffProgress& progress_;
  std::string doing_;
  InstrCount from_, to_;
};

Result<std::unique_ptr<DiffSide>> open_side(const std::string& directory, SideOptions options, Teller& teller) {
  Result<std::unique_ptr<DiffSide>> side = DiffSide::open(directory, options);
  if (side) teller.attend(**side);
  return side;
}

// ---- Two recordings ----

class TwoRecordings {
 public:
  TwoRecordings(const std::string& a, const std::string& b, const DiffOptions& options)
      : a_(a), b_(b), options_(options), teller_(options.progress) {}

  Result<DiffReport> report() {
    if (Status compared = compare_what_they_say(); !compared) return compared.error();
    if (!logs_.differ && logs_.ends_agree && report_.configuration.empty()) {
      report_.equal = true;
      report_.conclusion = "the recordings are equal";
      return report_;
    }
    if (!logs_.differ && (logs_.ends_agree || logs_.last_equal == logs_.reach)) return nothing_found();
    if (Status searched = search(logs_.last_equal); !searched) return searched.error();
    return report_;
  }

 private:
  Status compare_what_they_say() {
    const Result<replay::Manifest> of_a = replay::read_manifest(a_), of_b = replay::read_manifest(b_);
    if (!of_a) return of_a.error();
    if (!of_b) return of_b.error();
    report_.configuration = compare_machines(of_a->machine, of_b->machine);
    plants_a_ = joined(plants_of(*of_a), options_.plants_a);
    plants_b_ = joined(plants_of(*of_b), options_.plants_b);
    const Result<LogComparison> logs = compare_logs(a_, b_);
    if (!logs) return logs.error();
    logs_ = *logs;
    report_.hashes = logs_.hashes;
    report_.inputs = logs_.inputs;
    report_.last_equal = logs_.last_equal;
    report_.reach = logs_.differ.value_or(logs_.reach);
    report_.noticed = logs_.what;
    return success();
  }

  DiffReport nothing_found() {
    report_.equal = report_.configuration.empty();
    report_.conclusion = report_.equal ? "the recordings agree up to instruction " + number(logs_.reach) +
                                             ", as far as both of them reach"
                                       : "the machines are configured differently, but their executions agree";
    return report_;
  }

  // Runs both again from `from` on.
  Status search(InstrCount from) {
    auto a = open_side(a_, {.name = "recording '" + a_ + "'", .plants = plants_a_}, teller_);
    if (!a) return a.error();
    auto b = open_side(b_, {.name = "recording '" + b_ + "'", .plants = plants_b_}, teller_);
    if (!b) return b.error();
    teller_.begin("going to the last equal state hash", InstrCount{}, from);
    if (Status gone = (*a)->start_at(from); !gone) return gone;
    if (Status gone = (*b)->start_at(from); !gone) return gone;
    if ((*a)->state() != (*b)->state()) {
      if (from.value != 0) return search(InstrCount{});  // hashes agree, but one of them replays differently
      return describe_start(**a, **b);
    }
    teller_.begin("searching", from, report_.reach);
    const InstrCount to = logs_.differ ? *logs_.differ : logs_.reach;
    const SearchLimits limits{
        .from = Position{from}, .to = to, .stride = from == logs_.last_equal && logs_.differ ? 0 : kCoarse};
    const auto bracket = replay::find_divergence(**a, **b, limits, teller_.narrowing());
    if (!bracket) return bracket.error();
    if (!*bracket) return no_bracket();
    const Result<Difference> difference = examine(**a, **b, **bracket);
    if (!difference) return difference.error();
    for (const DiffSide* side : {a->get(), b->get()}) {
      if (side->end() != PlayEnd::diverged) continue;
      report_.conclusion = side->name() + " cannot be replayed as it was recorded: see `rondo diff` of it alone";
      return success();
    }
    report_.difference = *difference;
    report_.conclusion = "the recordings differ";
    return success();
  }

  Status describe_start(DiffSide& a, DiffSide& b) {
    Difference difference;
    difference.cause = Difference::Cause::start;
    difference.side_a = a.name();
    difference.side_b = b.name();
    compare_states(a, b, nullptr, difference);
    difference.rip = a.machine().engine().state().rip;
    report_.difference = std::move(difference);
    report_.conclusion = "the recordings differ from the start";
    return success();
  }

  Status no_bracket() {
    if (!logs_.differ) {
      nothing_found();
    } else {
      report_.conclusion =
          "the recordings differ, their replays do not: one of the runs was not what its recording says; see `rondo "
          "diff` of each alone";
    }
    return success();
  }

  const std::string& a_;
  const std::string& b_;
  const DiffOptions& options_;
  Teller teller_;
  std::vector<Plant> plants_a_, plants_b_;
  LogComparison logs_;
  DiffReport report_;
};

// ---- A recording and its replays ----

class OneRecording {
 public:
  OneRecording(const std::string& recording, const DiffOptions& options)
      : recording_(recording), options_(options), teller_(options.progress) {}

  Result<DiffReport> report() {
    const Result<replay::Manifest> manifest = replay::read_manifest(recording_);
    if (!manifest) return manifest.error();
    recorded_plants_ = plants_of(*manifest);
    for (const Plant& plant : recorded_plants_) {
      if (plant.kind == Plant::Kind::clock) devices_.push_back(plant);
    }
    auto first = open_side(recording_, {.name = "the replay", .plants = joined(devices_, options_.plants_a)}, teller_);
    if (!first) return first.error();
    first_ = std::move(*first);
    if (Status replayed = replay(); !replayed) return replayed.error();
    if (first_->end() != PlayEnd::diverged) return agrees();

    const replay::Divergence& divergence = *first_->player().divergence();
    report_.hashes = first_->player().hashes_checked();
    report_.noticed = divergence.what;
    report_.last_equal = divergence.last_equal;
    report_.reach = divergence.found.count;
    if (!before_ || before_->place.position.count > divergence.last_equal) before_ = std::move(earlier_);
    for (const auto attempt :
         {&OneRecording::against_planted, &OneRecording::against_second_replay, &OneRecording::against_reference}) {
      const Result<bool> found = (this->*attempt)();
      if (!found) return found.error();
      if (*found) return report_;
    }
    if (Status told = tell_that_replays_agree(divergence); !told) return told.error();
    return report_;
  }

 private:
  // Replays all, and keeps how the machine was at the last two places at which it was compared.
  Status replay() {
    teller_.begin("replaying", InstrCount{}, InstrCount{});
    Result<replay::RecordingReader> reader = replay::RecordingReader::open(recording_);
    if (!reader) return reader.error();
    before_ = first_->mark();
    while (const replay::Event* event = reader->next()) {
      if (!std::holds_alternative<replay::StateHash>(event->body)) continue;
      if (Status gone = first_->go_to({event->moment.count}); !gone) return gone;
      if (first_->end() != PlayEnd::target) return success();
      earlier_ = std::move(before_);
      before_ = first_->mark();
    }
    return first_->go_to({InstrCount{u64{1} << 62}});
  }

  DiffReport agrees() {
    report_.equal = true;
    report_.hashes = first_->player().hashes_checked();
    report_.reach = first_->machine().clock().count();
    report_.conclusion = "the replay agrees with the recording";
    if (first_->end() == PlayEnd::cut_off) {
      report_.conclusion += " up to instruction " + number(report_.reach) +
                            ", where it is cut off: " + first_->playback().reader().validity().explanation;
    }
    return report_;
  }

  // Runs both sides from the last agreement on to where the difference was noticed.
  Result<bool> search(DiffSide& a, DiffSide& b, u64 stride, const std::string& doing, const std::string& conclusion) {
    for (DiffSide* side : {&a, &b}) {
      if (Status moved = side->go_to_mark(*before_); !moved) return moved.error();
    }
    teller_.begin(doing, before_->place.position.count, report_.reach);
    const SearchLimits limits{.from = before_->place.position, .to = report_.reach + 1, .stride = stride};
    const auto bracket = replay::find_divergence(a, b, limits, teller_.narrowing());
    if (!bracket) return bracket.error();
    if (!*bracket) return false;
    const Result<Difference> difference = examine(a, b, **bracket);
    if (!difference) return difference.error();
    report_.difference = *difference;
    report_.conclusion = conclusion;
    return true;
  }

  // A recording of a planted fault can be run as it was.
  Result<bool> against_planted() {
    if (recorded_plants_.size() == devices_.size()) return false;
    auto planted = open_side(recording_, {.name = "the recorded run", .plants = recorded_plants_}, teller_);
    if (!planted) return planted.error();
    return search(**planted, *first_, 0, "searching",
                  "the recording was made with a planted fault, which its replay has not");
  }

  Result<bool> against_second_replay() {
    auto opened =
        open_side(recording_, {.name = "another replay", .plants = joined(devices_, options_.plants_b)}, teller_);
    if (!opened) return opened.error();
    second_ = std::move(*opened);
    return search(*first_, *second_, 0, "comparing two replays",
                  "two replays differ from each other: something enters the machine that is not recorded, or the host "
                  "is at fault");
  }

  Result<bool> against_reference() {
    auto reference = open_side(recording_,
                               {.name = "the replay, instruction by instruction",
                                .plants = joined(devices_, options_.plants_b),
                                .single_step = true},
                               teller_);
    if (!reference) return reference.error();
    return search(*second_, **reference, kCoarseStepping, "comparing the engine's two drives",
                  "the engine's fast drive differs from its reference drive: an instruction is executed wrongly");
  }

  // A checkpoint is the one place at which the recorded run's state is known.
  Status compare_with_checkpoint() {
    const replay::Manifest& manifest = first_->playback().reader().manifest();
    Result<replay::CheckpointStore> store = replay::CheckpointStore::open(recording_, replay::store_options(manifest));
    if (!store) return success();
    const auto& all = store->checkpoints();
    const auto after =
        std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.info.moment.count >= report_.reach; });
    if (after == all.end()) return success();
    const Result<replay::LoadedCheckpoint> loaded = store->load(after->number);
    if (!loaded) return success();
    const InstrCount count = loaded->info.moment.count;
    auto recorded = open_side(recording_, {.name = "the recorded run", .plants = devices_}, teller_);
    if (!recorded) return recorded.error();
    const DiffSide::Mark there{loaded->snapshot, {.position = {count}, .next_event = loaded->info.next_event}};
    if (Status moved = (*recorded)->go_to_mark(there); !moved) return success();  // of another machine
    teller_.begin("going to a checkpoint", report_.last_equal, count);
    if (Status moved = second_->go_to_mark(*before_); !moved) return moved;
    const Result<bool> came = second_->go_past_hashes(count);
    if (!came) return came.error();
    if (!*came) return success();
    Difference difference;
    difference.cause = Difference::Cause::interval;
    difference.side_a = (*recorded)->name();
    difference.side_b = "the replay";
    difference.bracket = {before_->place.position, {count}};
    difference.before = before_->snapshot.time;
    compare_states(**recorded, *second_, &*before_, difference);
    report_.difference = std::move(difference);
    return success();
  }

  Status tell_that_replays_agree(const replay::Divergence& divergence) {
    report_.conclusion = "all replays agree with each other: the recorded run itself differed, between instruction " +
                         number(divergence.last_equal) + " and " + number(divergence.found.count);
    const u64 interval = first_->playback().reader().manifest().settings.hash_interval;
    if (interval == 0 || interval > 1000)
      report_.conclusion += "; record again with a smaller --hash-interval to know more closely where";
    report_.components = divergence.components;
    if (Status compared = compare_with_checkpoint(); !compared) return compared;
    report_.events = last_events(recording_, divergence.event + 1, kEventsTold);
    if (report_.difference) report_.difference->events = report_.events;
    return success();
  }

  const std::string& recording_;
  const DiffOptions& options_;
  Teller teller_;
  std::vector<Plant> recorded_plants_;
  std::vector<Plant> devices_;  // those of them that are part of the machine
  std::unique_ptr<DiffSide> first_, second_;
  std::optional<DiffSide::Mark> before_, earlier_;
  DiffReport report_;
};

}  // namespace

Result<DiffReport> diff_recordings(const std::string& a, const std::string& b, const DiffOptions& options) {
  return TwoRecordings(a, b, options).report();
}

Result<DiffReport> diff_replay(const std::string& recording, const DiffOptions& options) {
  return OneRecording(recording, options).report();
}

}  // namespace rondo::recordings
