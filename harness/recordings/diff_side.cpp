#include "harness/recordings/diff_side.h"

#include <algorithm>

#include "replay/moments.h"

namespace rondo::recordings {

using replay::PlayEnd;
using replay::PlayTarget;
using replay::Position;

// Stands at the machine's door in front of everything else and can end a run at the Moment of a count after all that
// enters there has entered.
class DiffSide::EntryDoor final : public Door {
 public:
  EntryDoor(Machine& machine, Door& inner) : machine_(machine), inner_(inner) {}
  void hold_at(std::optional<InstrCount> count) {
    hold_ = count;
    entered_ = false;
  }
  bool held() const { return entered_; }

  std::optional<InstrCount> next_visit(InstrCount now) override {
    inner_visit_ = inner_.next_visit(now);
    if (!hold_ || *hold_ < now) return inner_visit_;
    return inner_visit_ ? std::min(*inner_visit_, *hold_) : *hold_;
  }
  bool visit(std::optional<VirtualNs> idle_until) override {
    const InstrCount now = machine_.clock().count();
    if (idle_until || (inner_visit_ && *inner_visit_ <= now)) {
      if (!inner_.visit(idle_until)) return false;
      inner_visit_ = inner_.next_visit(now);
    }
    if (idle_until || hold_ != now || (inner_visit_ && *inner_visit_ <= now)) return true;
    entered_ = true;
    return false;
  }
  bool visit_candidate() override { return inner_.visit_candidate(); }

 private:
  Machine& machine_;
  Door& inner_;
  std::optional<InstrCount> inner_visit_;
  std::optional<InstrCount> hold_;
  bool entered_ = false;
};

DiffSide::DiffSide(SideOptions options, std::unique_ptr<Playback> playback)
    : options_(std::move(options)), playback_(std::move(playback)) {}

// The planted engine in the machine looks at nothing here when it goes.
DiffSide::~DiffSide() = default;

Result<std::unique_ptr<DiffSide>> DiffSide::open(const std::string& directory, const SideOptions& options) {
  Result<std::unique_ptr<Playback>> playback = Playback::open(directory, nullptr);
  if (!playback) return playback.error();
  std::unique_ptr<DiffSide> side(new DiffSide(options, std::move(*playback)));
  Result<std::unique_ptr<Plants>> plants = Plants::attach(side->playback_->board(), options.plants, false);
  if (!plants) return plants.error();
  side->plants_ = std::move(*plants);
  side->door_ = std::make_unique<EntryDoor>(side->machine(), side->plants_->door(side->player()));
  return side;
}

Status DiffSide::play(const PlayTarget& given) {
  PlayTarget target = given;
  target.single_step = options_.single_step;
  target.through = door_.get();
  const PlayEnd end = player().play(target);
  if (end == PlayEnd::refused) return *player().error();
  const bool held = door_->held();
  place_.end = held ? PlayEnd::target : end;
  const InstrCount count = machine().clock().count();
  if (place_.position.count != count || held) place_.position = {count, held};
  return success();
}

Status DiffSide::start_at(InstrCount count) {
  if (!options_.plants.empty() || options_.single_step) return go_to({count});
  const Result<PlayEnd> end = playback_->seek({.count = count, .through = door_.get()});
  if (!end) return end.error();
  if (*end == PlayEnd::refused) return *player().error();
  place_ = {.position = {machine().clock().count()}, .end = *end};
  return success();
}

Status DiffSide::go_to(const Position& position) {
  if (place_.end == PlayEnd::target && place_.position.count < position.count) {
    if (Status played = play({.count = position.count}); !played) return played;
  }
  const bool there = place_.end == PlayEnd::target && place_.position.count == position.count;
  if (!there || !position.entered || place_.position.entered) return success();
  door_->hold_at(position.count);
  Status played = play({});
  door_->hold_at(std::nullopt);
  return played;
}

Result<bool> DiffSide::go_past_hashes(InstrCount count) {
  while (true) {
    if (Status gone = go_to({count}); !gone) return gone.error();
    if (place_.end == PlayEnd::target) return true;
    if (place_.end != PlayEnd::diverged) return false;
    const u64 number = player().divergence()->event;
    playback_->reader().seek_event(number);
    const replay::Event* event = playback_->reader().next();
    const bool note = event && (std::holds_alternative<replay::StateHash>(event->body) ||
                                std::holds_alternative<replay::CheckpointTaken>(event->body) ||
                                std::holds_alternative<replay::Remark>(event->body));
    if (!note) return false;
    player().moved(number + 1);
    place_.end = PlayEnd::target;
  }
}

replay::SideState DiffSide::state() {
  replay::SideState state;
  state.position = place_.position;
  state.time = machine().clock().now();
  if (place_.end == PlayEnd::complete) state.ended = player().end()->reason;
  state.hash = replay::state_hash_of(machine());
  return state;
}

DiffSide::Mark DiffSide::mark() {
  Mark mark{machine().snapshot(), place_};
  mark.place.next_event = player().next_event();
  return mark;
}

Status DiffSide::go_to_mark(const Mark& mark) {
  if (Status restored = machine().restore(mark.snapshot); !restored) return restored;
  place_ = mark.place;
  player().moved(place_.next_event);
  plants_->moved(place_.position.count, place_.position.entered);
  return success();
}

void DiffSide::on_progress(std::function<void()> call) {
  player().on_progress(kPollEvery, [call = std::move(call)] {
    call();
    return true;
  });
}

}  // namespace rondo::recordings
