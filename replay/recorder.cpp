#include "replay/recorder.h"

#include <algorithm>

#include "replay/format/chunk_limits.h"
#include "replay/moments.h"

namespace rondo::replay {

Recorder::Recorder(Machine& machine, InputSink& board, Door& live, ConsoleDigest& console, RecordingWriter writer)
    : machine_(machine),
      board_(board),
      live_(live),
      console_(console),
      writer_(std::move(writer)),
      hash_interval_(writer_.manifest().settings.hash_interval) {}

void Recorder::append(const Moment& moment, EventBody body) {
  if (!status_ || host_failed()) return;
  if (Result<u64> number = writer_.append(moment, std::move(body)); !number) status_ = number.error();
}

void Recorder::append_pending() {
  if (!pending_) return;
  append(pending_->moment, std::move(pending_->body));
  pending_.reset();
}

// The event is written with the Moment before the input: where a replay has to let it in.
void Recorder::enter(const Input& input) {
  const Moment moment = moment_of(machine_);
  auto* typed = pending_ ? std::get_if<ConsoleInput>(&pending_->body) : nullptr;
  if (typed && pending_->moment == moment && input.kind == InputKind::console && typed->port == input.port) {
    typed->bytes.insert(typed->bytes.end(), input.bytes.begin(), input.bytes.end());
  } else {
    append_pending();
    pending_ = Event{.moment = moment, .body = to_event(input)};
    if (input.kind != InputKind::console) append_pending();
  }
  board_.enter(input);
}

// On the event's way into the log nothing is derived from the vCPU, which is in the middle of an instruction; its RIP
// is known, and noted, for time stamps only. Joined events are those at the same time as the one before.
VirtualNs Recorder::note_event(VirtualNs now, bool joined, u64 rip) {
  append_pending();
  VirtualNs time = time_->at_event(now, joined);
  if (!joined) time = std::max(time, now + 1);
  Moment moment;
  moment.count = machine_.clock().count();
  moment.time = time;
  moment.rip = rip;
  append(moment, SampledTime{time});
  return time;
}

VirtualNs Recorder::at_event(VirtualNs now, bool joined) { return note_event(now, joined, 0); }

VirtualNs Recorder::at_time_stamp(VirtualNs now, u64 rip) { return note_event(now, false, rip); }

VirtualNs Recorder::at_kick(VirtualNs now) {
  append_pending();
  const VirtualNs time = time_->at_kick(now);
  append(moment_of(machine_), SampledTime{time});
  return time;
}

std::optional<InstrCount> Recorder::next_visit(InstrCount now) {
  live_visit_ = live_.next_visit(now);
  checkpoint_visit_ = checkpoints_ ? checkpoints_->next(now) : std::nullopt;
  std::optional<InstrCount> first = live_visit_;
  const auto consider = [&](std::optional<InstrCount> count) {
    if (count) first = first ? std::min(*first, *count) : *count;
  };
  consider(checkpoint_visit_);
  if (hash_interval_ != 0) consider(InstrCount{(now.value / hash_interval_ + 1) * hash_interval_});
  return first;
}

bool Recorder::visit(std::optional<VirtualNs> idle_until) {
  append_pending();
  const InstrCount now = machine_.clock().count();
  if (!idle_until) {
    remark_checkpoint_error();
    const bool checkpoint = checkpoint_visit_ && now >= *checkpoint_visit_;
    if (checkpoint || (hash_interval_ != 0 && now.value % hash_interval_ == 0)) note_state(checkpoint);
  }
  if (!status_) return false;
  // The live door is visited where it would be without a recorder.
  if (!idle_until && !(live_visit_ && now >= *live_visit_)) return true;
  const bool go_on = live_.visit(idle_until);
  return go_on && status_;
}

void Recorder::note_state(bool checkpoint) {
  const Moment moment = moment_of(machine_);
  StateHash hash = state_hash_of(machine_);
  StateHash noted = hash;
  noted.console = console_.take_piece();
  append(moment, std::move(noted));
  if (!checkpoint || !status_) return;
  MachineSnapshot snapshot = machine_.snapshot();
  if (host_failed()) return;
  checkpoints_->add(std::move(snapshot),
                    {.moment = moment, .next_event = writer_.events(), .state_hash = std::move(hash)});
}

void Recorder::remark_checkpoint_error() {
  std::optional<Error> error = checkpoints_ ? checkpoints_->take_error() : std::nullopt;
  if (!error) return;
  append(moment_of(machine_), Remark{error->message.substr(0, kMaxRemarkBytes)});
  if (!checkpoint_error_) checkpoint_error_ = std::move(error);
}

void Recorder::tick(u64 host_ns) {
  append_pending();
  if (!status_) return;
  if (Status flushed = writer_.flush_if_older(host_ns); !flushed) status_ = flushed;
}

void Recorder::break_off(const std::string& why) {
  if (checkpoints_) static_cast<void>(checkpoints_->finish());
  if (!status_) return;
  Moment moment;  // the state is not asked: a remark needs no exact place
  moment.count = machine_.clock().count();
  moment.time = machine_.clock().now();
  std::string text = "the recorded run ended here: host_failure: " + why;
  if (Result<u64> number = writer_.append(moment, Remark{text.substr(0, kMaxRemarkBytes)}); !number) {
    status_ = number.error();
  } else if (Status flushed = writer_.flush(); !flushed) {
    status_ = flushed;
  }
}

Status Recorder::finish(const std::string& reason, std::optional<u32> debug_exit_code) {
  if (checkpoints_) static_cast<void>(checkpoints_->finish());  // its errors: remark_checkpoint_error()
  append_pending();
  remark_checkpoint_error();
  const Moment moment = moment_of(machine_);
  StateHash hash = state_hash_of(machine_);
  hash.console = console_.take_piece();
  append(moment, hash);
  if (!status_) return status_;
  if (host_failed()) return Error{machine_.engine().failure()};
  const ConsoleOutput console = console_.whole();
  status_ = writer_.finish(moment, End{.reason = reason,
                                       .debug_exit_code = debug_exit_code,
                                       .instructions = moment.count,
                                       .virtual_ns = moment.time,
                                       .state_hash = hash.total,
                                       .console_bytes = console.bytes,
                                       .console_hash = console.hash});
  return status_;
}

}  // namespace rondo::replay
