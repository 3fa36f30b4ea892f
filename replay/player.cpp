#include "replay/player.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "replay/fingerprint.h"
#include "replay/moments.h"

namespace rondo::replay {
namespace {

std::string hex(u64 value) {
  char text[19];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string at(const Moment& m) {
  return "count " + std::to_string(m.count.value) + ", " + std::to_string(m.time.value) + " ns";
}

const End* own_end(const std::optional<Event>& event) {
  const auto* end = event ? std::get_if<End>(&event->body) : nullptr;
  return end && is_own_end(end->reason) ? end : nullptr;
}

}  // namespace

Player::Player(Machine& machine, InputSink& board, RecordingReader& reader, ConsoleDigest* console)
    : machine_(machine),
      board_(board),
      reader_(reader),
      console_(console),
      whole_output_(console && console->whole().bytes == 0) {
  if (console_) console_->take_piece();
}

void Player::moved(u64 event) {
  whole_output_ = false;
  output_known_ = event == 0;
  if (console_) console_->take_piece();
  if (event > 0) {
    reader_.seek_event(event - 1);
    const Event* before = reader_.next();
    output_known_ = before && std::holds_alternative<StateHash>(before->body) && before->moment == moment_of(machine_);
  } else {
    reader_.seek_event(0);
  }
  head_.reset();
  after_.reset();
  waiting_ = stopped_ = unseen_ = torn_ = false;
  lost_.reset();
  search(false);
  last_equal_ = machine_.clock().count();
  divergence_.reset();
  error_.reset();
  end_.reset();
}

void Player::on_progress(u64 every, std::function<bool()> call) {
  progress_every_ = every;
  progress_ = std::move(call);
}

u64 Player::next_event() const { return head_ ? head_->number : reader_.position(); }

void Player::fetch() {
  waiting_ = false;
  head_ = std::move(after_);
  after_.reset();
  const auto next = [&](std::optional<Event>& into) {
    const Event* event = reader_.next();
    while (event && std::holds_alternative<Remark>(event->body)) event = reader_.next();
    if (event) into = *event;
  };
  if (!head_) next(head_);
  if (head_) next(after_);
}

// Whether what comes next is an end that the machine has to find by itself, or the state hash of that end: nothing is
// done at its Moment but looking whether it was found.
bool Player::at_own_end() const {
  return own_end(head_) || (head_ && std::holds_alternative<StateHash>(head_->body) && own_end(after_) &&
                            after_->moment == head_->moment);
}

// On hardware the guest may have executed what the CPU model does not have.
std::string Player::not_in_the_model() const {
  if (!machine_.clock().sampled()) return {};
  std::string what;
  for (const UnsupportedInstruction& u : machine_.engine().unsupported())
    what +=
        "; at RIP " + hex(u.rip) + " it executed " + u.bytes + ", which the CPU model does not have but the host may";
  for (const auto& [name, rip] : doubtful_)
    what += "; its " + name + " at RIP " + hex(rip) + " may do something else on the host of the recording";
  return what;
}

void Player::diverge(std::string what, std::vector<std::string> components) {
  what += not_in_the_model();
  Divergence divergence;
  divergence.what = std::move(what);
  divergence.found = moment_of(machine_);
  divergence.components = std::move(components);
  if (head_) divergence.event = head_->number, divergence.expected = head_->moment;
  divergence.last_equal = last_equal_;
  divergence_ = std::move(divergence);
}

std::optional<InstrCount> Player::next_visit(InstrCount now) {
  // After idling a guest may run on without an event, to an asynchronous Moment: it is looked for from here.
  if (waiting_ && machine_.clock().sampled() && head_->moment.time <= machine_.clock().now()) waiting_ = false;
  std::optional<InstrCount> progress;
  if (progress_) progress = InstrCount{(now.value / progress_every_ + 1) * progress_every_};
  if (lost_) return now;
  // Without an event there is nowhere to go, and past the Moment of one it is too late: both show at once.
  InstrCount event = now;
  if (head_) {
    // Where instructions are counted, the next synchronous event is behind this count at the latest.
    const bool sample_within = next_sample() && !counts_events();
    const bool later = at_own_end() || waiting_ || searching_ || sample_within;
    event = std::max(now, later ? head_->moment.count + 1 : head_->moment.count);
  }
  return progress ? std::min(*progress, event) : event;
}

bool Player::visit(std::optional<VirtualNs> idle_until) {
  if (idle_until && waiting_ && std::holds_alternative<End>(head_->body) && head_->moment.time <= *idle_until) {
    // A limit of virtual time cut the recorded run's idling short: so is this. The next visit compares.
    machine_.clock().skip_to(head_->moment.time);
    waiting_ = false;
    return true;
  }
  if (!let_in_events()) return false;
  if (!idle_until && progress_ && machine_.clock().count().value % progress_every_ == 0 && !progress_()) {
    stopped_ = true;
    return false;
  }
  return true;
}

// The engine has come to the registers of the asynchronous Moment. If the rest of the state is another one, the search
// goes on.
bool Player::visit_candidate() {
  if (!searching_ || !stands_at(machine_, head_->moment)) return true;
  return let_in_events();
}

bool Player::visit_search() {
  if (!searching_ || !progress_ || progress_()) return true;
  stopped_ = true;
  return false;
}

void Player::search(bool on) {
  if (on || searching_) machine_.engine().set_search(on ? std::optional(search_point(head_->moment)) : std::nullopt);
  searching_ = on;
}

// The time of the next synchronous event, if that is what comes next in the recording.
const VirtualNs* Player::next_sample() const {
  if (!head_ || head_->moment.fingerprint || !machine_.clock().sampled()) return nullptr;
  const auto* sample = std::get_if<SampledTime>(&head_->body);
  return sample ? &sample->time : nullptr;
}

// In the middle of an instruction: the run ends behind it, at the visit that is waited for.
void Player::lose(std::string what) {
  if (!lost_) lost_ = std::move(what);
}

VirtualNs Player::take_sample(VirtualNs now) {
  const VirtualNs* sample = next_sample();
  const InstrCount count = machine_.clock().count();
  if (sample && head_->moment.count == count && *sample >= now) {
    const VirtualNs time = *sample;
    if (on_event_) on_event_(*head_);
    fetch();
    unseen_ = !counts_events() && head_ && !next_sample() && head_->moment.count == count;
    return time;
  }
  const std::string which = (counts_events() ? "" : "at instruction ") + std::to_string(count.value);
  if (!head_) {
    torn_ = true;
    machine_.stop();
  } else if (searching_) {
    lose("the recorded run was interrupted at RIP " + hex(head_->moment.rip) + " after synchronous event " +
         std::to_string(head_->moment.count.value) + "; the replay never came to that state");
  } else {
    lose("the replay has a synchronous event (" + which + ") that the recording does not have");
  }
  return now;
}

VirtualNs Player::at_event(VirtualNs now, bool) {
  if (next_sample() && head_->moment.rip != 0)
    lose("the recorded run read the time stamp counter at RIP " + hex(head_->moment.rip) + ", the replay does not");
  return take_sample(now);
}

// What the software engine executed when it was recorded is there, with its RIP.
VirtualNs Player::at_time_stamp(VirtualNs now, u64 rip) {
  if (!next_sample() || head_->moment.rip != rip || head_->moment.count != machine_.clock().count())
    lose("the guest reads the time stamp counter at RIP " + hex(rip) +
         ", which KVM cannot trap: what it saw when this was recorded is not known");
  return take_sample(now);
}

void Player::at_user_cpuid(u64 rip) {
  if (user_cpuid_unknown_)
    lose("the guest executes CPUID at CPL 3, at RIP " + hex(rip) +
         ", where KVM on the host of the recording shows features that the model hides: what it saw is not known");
}

void Player::at_doubtful(u64 rip, std::string_view name) { doubtful_.try_emplace(std::string(name), rip); }

VirtualNs Player::at_kick(VirtualNs) { return std::get<SampledTime>(head_->body).time; }

// Events that are joined to the one before have its time.
bool Player::next_joins() const {
  if (lost_) return false;
  const VirtualNs* sample = next_sample();
  const u64 further = counts_events() ? 1 : 0;
  return sample && *sample == machine_.clock().now() && head_->moment.count == machine_.clock().count() + further;
}

// Lets in all that is due at this Moment. False: the run is over.
bool Player::let_in_events() {
  unseen_ = false;
  while (head_ && !lost_) {
    const Moment& due = head_->moment;
    const InstrCount count = machine_.clock().count();
    const VirtualNs now = machine_.clock().now();
    if (due.count > count) return true;
    if (next_sample() && due.count == count && !counts_events()) return true;
    if (next_sample() || (counts_events() && !due.fingerprint)) {
      diverge("the replay has more synchronous events than the recording, at event " + std::to_string(head_->number));
      return false;
    }
    if (at_own_end()) {
      if (count == due.count) return true;
      const End* end = own_end(head_) ? own_end(head_) : own_end(after_);
      diverge("the recording ends here by itself (" + end->reason + "), the replay goes on");
      return false;
    }
    if (due.count < count) {
      diverge("the replay passed the Moment of event " + std::to_string(head_->number) + " (" + at(due) +
              ") without coming to its time");
      return false;
    }
    if (due.time > now) {
      waiting_ = true;  // the machine has to idle until then
      return true;
    }
    if (due.time == now && due.fingerprint) {
      search(!stands_at(machine_, due));
      if (searching_) return true;
    }
    const Moment here = due.fingerprint ? due : moment_of(machine_);
    if (due.time < now || due.rip != here.rip || due.rcx != here.rcx) {
      diverge("event " + std::to_string(head_->number) + " (" + describe(head_->body) +
              ") happened at another point of the execution");
      return false;
    }
    if (stop_event_ && head_->number >= *stop_event_) {
      stopped_ = true;
      return false;
    }
    if (on_event_) on_event_(*head_);
    if (!apply(*head_)) return false;
    fetch();
  }
  return false;  // nothing is known of what comes after the last event
}

bool Player::apply(const Event& event) {
  if (const auto input = to_input(event.body)) {
    board_.enter(*input);
    return true;
  }
  if (const auto* hash = std::get_if<StateHash>(&event.body)) {
    check_hash(*hash, event.moment);
    return !failed();
  }
  if (const auto* end = std::get_if<End>(&event.body)) {
    check_end(*end);
    return false;
  }
  if (std::holds_alternative<SampledTime>(event.body) && machine_.clock().sampled()) {
    machine_.clock().begin_asynchronous();
    return true;
  }
  if (std::holds_alternative<Unknown>(event.body) || std::holds_alternative<SampledTime>(event.body) ||
      std::holds_alternative<AsynchronousInterrupt>(event.body)) {
    error_ = refuse_unknown(event, reader_);
    return false;
  }
  return true;  // a note: host time and seed material went into the machine's configuration
}

void Player::check_hash(const StateHash& expected, const Moment& moment) {
  const StateHash found = state_hash_of(machine_);
  ++hashes_checked_;
  if (found.same_state(expected)) {
    check_output(expected);
    if (!failed()) last_equal_ = moment.count;
    return;
  }
  std::vector<std::string> different;
  std::string names;
  for (const ComponentHash& component : found.components) {
    if (std::find(expected.components.begin(), expected.components.end(), component) != expected.components.end())
      continue;
    different.push_back(component.name);
    names += (names.empty() ? "" : ", ") + component.name;
  }
  diverge("the state differs in " + (names.empty() ? "its components" : names), std::move(different));
}

void Player::check_output(const StateHash& expected) {
  if (!console_) return;
  const ConsoleOutput found = console_->take_piece();
  const bool known = std::exchange(output_known_, true);
  if (!known || !expected.console || *expected.console == found) return;
  diverge("the console output since the state hash before differs: " + std::to_string(expected.console->bytes) +
              " bytes recorded, " + std::to_string(found.bytes) + " replayed",
          {"console output"});
}

void Player::check_end(const End& end) {
  const Moment here = moment_of(machine_);
  if (end.instructions != here.count || end.virtual_ns != here.time) {
    diverge("the recording ended at " + std::to_string(end.instructions.value) + " instructions, " +
            std::to_string(end.virtual_ns.value) + " ns");
  } else if (state_hash_of(machine_).total != end.state_hash) {
    diverge("the final state differs");
  } else if (whole_output_ && console_->whole() != ConsoleOutput{end.console_bytes, end.console_hash}) {
    diverge("the console output differs: " + std::to_string(end.console_bytes) + " bytes recorded, " +
                std::to_string(console_->whole().bytes) + " replayed",
            {"console output"});
  } else {
    end_ = end;
  }
}

PlayEnd Player::play(const PlayTarget& target) {
  if (torn_) return PlayEnd::cut_off;
  stopped_ = false;
  stop_event_ = target.event;
  if (!head_) fetch();
  RunLimits limits{.instructions = target.count, .virtual_time = target.time, .single_step = target.single_step};
  const RunResult result = machine_.run(limits, target.through ? target.through : this);
  return classify(result);
}

PlayEnd Player::classify(const RunResult& result) {
  if (lost_ && !divergence_) {
    diverge(std::move(*lost_));
  }
  if (error_) return PlayEnd::refused;
  if (divergence_) return PlayEnd::diverged;
  if (end_) return PlayEnd::complete;
  if (torn_) return PlayEnd::cut_off;
  if (result.reason == ExitReason::instruction_limit || result.reason == ExitReason::time_limit || stopped_)
    return PlayEnd::target;
  if (result.reason == ExitReason::stopped) return PlayEnd::cut_off;
  // The machine ended by itself: the recording has to say so too.
  if (at_own_end() && std::holds_alternative<StateHash>(head_->body) && head_->moment == moment_of(machine_)) {
    check_hash(std::get<StateHash>(head_->body), head_->moment);
    if (failed()) return PlayEnd::diverged;
    fetch();
  }
  if (!head_) return PlayEnd::cut_off;
  const auto* end = std::get_if<End>(&head_->body);
  if (!end || end->reason != to_string(result.reason) || end->debug_exit_code.value_or(0) != result.debug_exit_code) {
    diverge("the replay ends here (" + std::string(to_string(result.reason)) + "), the recording " +
            (end ? "ends with " + end->reason : "goes on"));
    return PlayEnd::diverged;
  }
  check_end(*end);
  return failed() ? PlayEnd::diverged : PlayEnd::complete;
}

}  // namespace rondo::replay
