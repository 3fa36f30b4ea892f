// A recording opened for replay: its machine, and the way to any of its Moments.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "harness/board.h"
#include "harness/recordings/moment.h"
#include "replay/checkpoint/store.h"
#include "replay/player.h"

namespace rondo::recordings {

class Playback {
 public:
  // Builds the machine as it was at the start. `console` may be null; it sees the guest's output again. With `kvm` the
  // guest runs on KVM, and a recording that was not made there is refused.
  static Result<std::unique_ptr<Playback>> open(const std::string& directory, CharacterSink* console,
                                                std::optional<KvmSettings> kvm = {});

  Board& board() { return *board_; }
  Machine& machine() { return board_->machine(); }
  replay::RecordingReader& reader() { return reader_; }
  replay::Player& player() { return *player_; }

  // What a Moment's name means in this recording. Relative ones need its end: of an unfinished recording that is its
  // last event.
  Result<replay::PlayTarget> resolve(const MomentName& name);
  // Goes to the target, by the shortest way: on from here, or from the nearest checkpoint, or from the start. Without a
  // target it plays on to the end. What is skipped on the way is neither verified nor shown on the console.
  Result<replay::PlayEnd> seek(const replay::PlayTarget& target);
  replay::CheckpointStore& checkpoints() { return checkpoints_; }
  // The machine's time is the recording's (again), if that does not follow from the count.
  void use_recorded_time();

 private:
  Playback(replay::RecordingReader reader, replay::CheckpointStore checkpoints, CharacterSink* console,
           std::optional<KvmSettings> kvm);
  Status build();
  const replay::StoredCheckpoint* nearest_checkpoint(const replay::PlayTarget& target) const;
  Result<bool> restore_nearer(const replay::PlayTarget& target, bool back);

  replay::RecordingReader reader_;
  replay::CheckpointStore checkpoints_;
  replay::ConsoleDigest digest_;
  std::optional<KvmSettings> kvm_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<replay::Player> player_;
  std::optional<Counted> sampled_;  // what is counted in a recording with sampled time
};

// Why a replay is over, for its report.
std::string exit_name(replay::PlayEnd end, const replay::Player& player);

}  // namespace rondo::recordings
