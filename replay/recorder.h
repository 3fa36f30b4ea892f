// Records a run: stands at the machine's door, writes down what enters and when, and takes state hashes and
// checkpoints.
//
// A recorded run is the same run as an unrecorded one: the recorder only looks.
#pragma once

#include <optional>
#include <utility>

#include "core/door.h"
#include "core/machine.h"
#include "replay/checkpoint/writer.h"
#include "replay/console_digest.h"
#include "replay/format/recording_writer.h"

namespace rondo::replay {

class Recorder final : public InputSink, public Door, public TimeSource {
 public:
  // `board` takes the input, `live` lets it in (through this recorder: its sink must be this). All outlive the
  // recorder.
  Recorder(Machine& machine, InputSink& board, Door& live, ConsoleDigest& console, RecordingWriter writer);

  // With checkpoints, from now on. They are a help for seeking: an error in writing them does not end the recording,
  // but is remarked in it.
  void add_checkpoints(CheckpointWriter writer) { checkpoints_.emplace(std::move(writer)); }

  void enter(const Input& input) override;
  std::optional<InstrCount> next_visit(InstrCount now) override;
  bool visit(std::optional<VirtualNs> idle_until) override;

  // The time of a machine on KVM comes from `source` (which outlives the recorder) and is written down. The machine's
  // clock must use the recorder.
  void sample_from(TimeSource& source) { time_ = &source; }
  VirtualNs at_event(VirtualNs now, bool joined) override;
  VirtualNs at_time_stamp(VirtualNs now, u64 rip) override;
  VirtualNs at_kick(VirtualNs now) override;
  bool is_late(VirtualNs now, VirtualNs due) const override { return time_->is_late(now, due); }

  // For the driver, which has a clock: writes what has waited long enough.
  void tick(u64 host_ns);
  // The host failed (Engine::failure()): what is known by now is written, with a remark that says why, and the
  // recording stays unfinished. What the engine says of its state from then on is not written.
  void break_off(const std::string& why);
  // The end of the run, as `reason` says it (to_string(ExitReason), or why the user's limit ended it).
  Status finish(const std::string& reason, std::optional<u32> debug_exit_code);
  // The first failure: visit() has ended the run, and the recording is good up to its last chunk.
  const Status& status() const { return status_; }
  // What went wrong with checkpoints and the user was not told yet.
  std::optional<Error> take_checkpoint_error() { return std::exchange(checkpoint_error_, std::nullopt); }

 private:
  void append(const Moment& moment, EventBody body);
  // The host failed, so that the state, and with it a Moment, may be wrong.
  bool host_failed() const { return !machine_.engine().failure().empty(); }
  void append_pending();
  void note_state(bool checkpoint);
  void remark_checkpoint_error();

  VirtualNs note_event(VirtualNs now, bool joined, u64 rip);

  Machine& machine_;
  InputSink& board_;
  Door& live_;
  TimeSource* time_ = nullptr;
  ConsoleDigest& console_;
  RecordingWriter writer_;
  std::optional<CheckpointWriter> checkpoints_;
  u64 hash_interval_;
  std::optional<InstrCount> live_visit_;        // what live_ asked for last
  std::optional<InstrCount> checkpoint_visit_;  // when the next checkpoint is due
  std::optional<Event> pending_;                // console input, which may grow while the Moment lasts
  std::optional<Error> checkpoint_error_;       // remarked in the recording, and not told yet
  Status status_ = success();
};

}  // namespace rondo::replay
