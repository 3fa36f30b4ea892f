// Where the input of a machine comes from that travels in time: a door that can be put back to an earlier event.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/door.h"
#include "core/machine.h"
#include "harness/board.h"
#include "harness/recordings/playback.h"
#include "replay/format/recording_reader.h"
#include "replay/player.h"

namespace rondo::gdb {

class InputSource : public Door {
 public:
  // The number of the next event that has not entered yet: what a snapshot has to remember.
  virtual u64 next_event() const = 0;
  // The machine was put to a Moment at which this was the next event.
  virtual void moved(u64 event) = 0;
  // Another future from here on, which knows the same past. Outlived by the machine and by this.
  virtual std::unique_ptr<InputSource> fork() = 0;
  // Why visit() ended the run, in one line for people.
  virtual std::string ending() const = 0;
  // One line per event with a number in [from, from + most).
  virtual std::vector<std::string> describe(u64 from, u64 most) = 0;
};

// A live machine: at the furthest Moment reached so far input comes from the host and is written down; before it, what
// was written down enters again.
class LiveInput final : public InputSource, private InputSink {
 public:
  // Lets the host's input into `sink`, as a Door's visit() would.
  using Exchange = std::function<bool(InputSink& sink, std::optional<VirtualNs> idle_until)>;
  // An empty exchange: nothing enters.
  LiveInput(Board& board, Exchange exchange) : board_(board), exchange_(std::move(exchange)) {}

  u64 next_event() const override { return next_; }
  void moved(u64 event) override;
  std::unique_ptr<InputSource> fork() override;
  std::string ending() const override { return "the console has ended the run"; }
  std::vector<std::string> describe(u64 from, u64 most) override;
  std::optional<InstrCount> next_visit(InstrCount now) override;
  bool visit(std::optional<VirtualNs> idle_until) override;

 private:
  struct Logged {
    InstrCount count;
    VirtualNs time;
    bool idle;  // entered while the machine idled
    Input input;
  };
  void enter(const Input& input) override;

  Board& board_;
  Exchange exchange_;
  std::vector<Logged> log_;
  u64 next_ = 0;
  bool idle_ = false;         // during visit()
  InstrCount reached_count_;  // the furthest Moment at which the host was asked
  VirtualNs reached_time_;
};

// A recording.
class RecordedInput final : public InputSource {
 public:
  explicit RecordedInput(recordings::Playback& playback)
      : playback_(playback), board_(playback.board()), player_(playback.player()), reader_(playback.reader()) {}

  u64 next_event() const override { return player_.next_event(); }
  void moved(u64 event) override;
  // Nothing enters a branch of a recording: what was typed belongs to the recorded run. So does its sampled time.
  std::unique_ptr<InputSource> fork() override;
  std::string ending() const override;
  std::vector<std::string> describe(u64 from, u64 most) override;
  std::optional<InstrCount> next_visit(InstrCount now) override { return player_.next_visit(now); }
  bool visit(std::optional<VirtualNs> idle_until) override { return player_.visit(idle_until); }
  bool visit_candidate() override { return player_.visit_candidate(); }

 private:
  recordings::Playback& playback_;
  Board& board_;
  replay::Player& player_;
  replay::RecordingReader& reader_;
};

}  // namespace rondo::gdb
