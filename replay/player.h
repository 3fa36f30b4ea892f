// Replays a recording: stands at the machine's door, lets in what was written down at exactly the Moment it came, and
// holds the machine to every state hash on the way.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/door.h"
#include "core/machine.h"
#include "replay/console_digest.h"
#include "replay/format/recording_reader.h"

namespace rondo::replay {

// The first Moment at which a replay was seen to differ from its recording.
struct Divergence {
  std::string what;                     // one line for people
  u64 event = 0;                        // at which it was noticed
  Moment expected;                      // the recording's
  Moment found;                         // the machine's
  std::vector<std::string> components;  // that differ, in the machine's order; empty: the Moment itself does
  InstrCount last_equal;                // the last state hash that agreed; 0: none, the start
};

enum class PlayEnd : u8 {
  target,    // the Moment that was asked for
  complete,  // the recording's end, and everything agreed
  cut_off,   // the last event that can be read: the recording is unfinished or damaged
  diverged,  // divergence() says where
  refused    // error() says what this program does not know how to replay
};

// Where to stop: at the first of them.
struct PlayTarget {
  std::optional<InstrCount> count = {};
  std::optional<VirtualNs> time = {};
  std::optional<u64> event = {};  // before the event of this number happens
  bool single_step = false;       // the reference drive
  Door* through = nullptr;        // stands between the machine and the player, whose visits it makes
};

class Player final : public Door, public TimeSource {
 public:
  // All outlive the player; the machine is at its start. `console` may be null; otherwise it sees all output, and is
  // compared at every state hash. If it has seen nothing else before, it is compared as a whole at the end too.
  Player(Machine& machine, InputSink& board, RecordingReader& reader, ConsoleDigest* console);

  // Runs from where the machine stands; may be called again after `target` and after `cut_off` (more may have been
  // written).
  PlayEnd play(const PlayTarget& target = {});
  // The machine was put elsewhere: `event` is the number of the next event. Unless that follows a state hash of this
  // Moment, as at a checkpoint, output is compared from the next state hash on.
  void moved(u64 event);

  // Called now and then with the machine at a Moment; false: stop there (`target`).
  void on_progress(u64 every, std::function<bool()> call);
  // Called with each event as it happens, before it has an effect.
  void on_event(std::function<void(const Event&)> call) { on_event_ = std::move(call); }

  const std::optional<Divergence>& divergence() const { return divergence_; }
  const std::optional<Error>& error() const { return error_; }
  const std::optional<End>& end() const { return end_; }  // after `complete`
  u64 next_event() const;                                 // number of the first event that did not happen yet
  u64 hashes_checked() const { return hashes_checked_; }

  std::optional<InstrCount> next_visit(InstrCount now) override;
  bool visit(std::optional<VirtualNs> idle_until) override;
  bool visit_candidate() override;
  bool visit_search() override;

  // Recordings with sampled time (made on KVM): the machine's clock must use the player.
  VirtualNs at_event(VirtualNs now, bool joined) override;
  VirtualNs at_time_stamp(VirtualNs now, u64 rip) override;
  void at_user_cpuid(u64 rip) override;
  void at_doubtful(u64 rip, std::string_view name) override;
  VirtualNs at_kick(VirtualNs now) override;
  bool is_late(VirtualNs, VirtualNs) const override { return false; }
  bool next_joins() const override;
  bool is_waited_for() const override { return unseen_ || lost_; }
  // The host's CPUID shows more at CPL 3 than the model has, so that what the guest saw there is unknown.
  void distrust_user_cpuid() { user_cpuid_unknown_ = true; }

 private:
  bool counts_events() const { return machine_.clock().counts_events(); }
  const VirtualNs* next_sample() const;
  VirtualNs take_sample(VirtualNs now);
  void lose(std::string what);
  void search(bool on);
  void fetch();
  bool at_own_end() const;
  bool let_in_events();
  bool apply(const Event& event);
  void check_hash(const StateHash& expected, const Moment& moment);
  void check_output(const StateHash& expected);
  void check_end(const End& end);
  std::string not_in_the_model() const;
  void diverge(std::string what, std::vector<std::string> components = {});
  bool failed() const { return divergence_ || error_ || lost_; }
  PlayEnd classify(const RunResult& result);

  Machine& machine_;
  InputSink& board_;
  RecordingReader& reader_;
  ConsoleDigest* console_;
  bool whole_output_;           // console_ has seen all output since the start, and only that
  bool output_known_ = true;    // ... or all since the last state hash
  std::optional<Event> head_;   // the next event
  std::optional<Event> after_;  // the one after it
  bool waiting_ = false;        // for the time of the head, whose count is reached
  bool stopped_ = false;        // by on_progress, or at stop_event_
  bool searching_ = false;      // for the Moment of the head, by its fingerprint
  bool unseen_ = false;         // the head's count is that of the event before it: it has to be looked at
  bool user_cpuid_unknown_ = false;
  std::map<std::string, u64> doubtful_;  // the RIP at which each was seen first
  bool torn_ = false;                // the recording breaks off between the events of one instruction
  std::optional<std::string> lost_;  // what went wrong in the middle of an instruction
  std::optional<u64> stop_event_;
  InstrCount last_equal_;
  u64 hashes_checked_ = 0;
  u64 progress_every_ = 0;
  std::function<bool()> progress_;
  std::function<void(const Event&)> on_event_;
  std::optional<Divergence> divergence_;
  std::optional<Error> error_;
  std::optional<End> end_;
};

}  // namespace rondo::replay
