// One side of a divergence search: a replay of a recording that can be put at any of its Moments, with planted faults
// if a test wants them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "harness/recordings/plant.h"
#include "harness/recordings/playback.h"
#include "replay/divergence/search.h"

namespace rondo::recordings {

struct SideOptions {
  std::string name;  // for people: "recording 'a'", "the replay"
  std::vector<Plant> plants;
  bool single_step = false;  // the reference drive
};

class DiffSide final : public replay::Side {
 public:
  // Stands at the start.
  static Result<std::unique_ptr<DiffSide>> open(const std::string& directory, const SideOptions& options);
  ~DiffSide() override;

  const std::string& name() const { return options_.name; }
  const SideOptions& options() const { return options_; }
  Playback& playback() { return *playback_; }
  Machine& machine() { return playback_->machine(); }
  replay::Player& player() { return playback_->player(); }
  // Why the way forward is over; `target` if it is not.
  replay::PlayEnd end() const { return place_.end; }

  // The arrival at this count, for a start: from the nearest checkpoint if nothing is planted.
  Status start_at(InstrCount count);
  Status go_to(const replay::Position& position) override;
  // Goes on to the arrival at this count past state hashes that differ. False: what enters on the way does not fit.
  Result<bool> go_past_hashes(InstrCount count);
  replay::SideState state() override;
  void keep() override { kept_ = mark(); }
  Status go_back() override { return go_to_mark(*kept_); }

  struct Place {
    replay::Position position;
    replay::PlayEnd end = replay::PlayEnd::target;
    u64 next_event = 0;
  };
  // Where a side stood. Another side of the same machine can be put there, too.
  struct Mark {
    MachineSnapshot snapshot;
    Place place;
  };
  Mark mark();
  Status go_to_mark(const Mark& mark);

  // Called now and then while it runs.
  void on_progress(std::function<void()> call);

 private:
  class EntryDoor;
  DiffSide(SideOptions options, std::unique_ptr<Playback> playback);
  Status play(const replay::PlayTarget& target);

  SideOptions options_;
  std::unique_ptr<Playback> playback_;
  std::unique_ptr<EntryDoor> door_;
  std::unique_ptr<Plants> plants_;
  Place place_;
  std::optional<Mark> kept_;
};

}  // namespace rondo::recordings
