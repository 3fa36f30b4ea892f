// A recording opened for replay: its machine, and the way to any of its Moments.
#pragma once

#include <memory>
#include <string>

#include "harness/board.h"
#include "harness/recordings/moment.h"
#include "replay/player.h"

namespace rondo::recordings {

class Playback {
 public:
  // Builds the machine as it was at the start. `console` may be null; it sees the guest's output again.
  static Result<std::unique_ptr<Playback>> open(const std::string& directory, CharacterSink* console);

  Board& board() { return *board_; }
  Machine& machine() { return board_->machine(); }
  replay::RecordingReader& reader() { return reader_; }
  replay::Player& player() { return *player_; }

  // What a Moment's name means in this recording. Relative ones need its end: of an unfinished recording that is its
  // last event.
  Result<replay::PlayTarget> resolve(const MomentName& name);
  // Goes to the target, by the shortest way: on from here, or from the nearest checkpoint, or from the start.
  Result<replay::PlayEnd> seek(const replay::PlayTarget& target);

 private:
  Playback(replay::RecordingReader reader, CharacterSink* console);
  Status build();

  replay::RecordingReader reader_;
  replay::ConsoleDigest digest_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<replay::Player> player_;
};

}  // namespace rondo::recordings
