#include "harness/gdb/input_source.h"

#include <algorithm>

#include "replay/moments.h"

namespace rondo::gdb {
namespace {

std::string line(u64 number, InstrCount count, VirtualNs time, const std::string& what) {
  return std::to_string(number) + ": instruction " + std::to_string(count.value) + ", " + std::to_string(time.value) +
         " ns: " + what;
}

}  // namespace

void LiveInput::moved(u64 event) {
  RONDO_ASSERT(event <= log_.size());
  board_.machine().clock().use_samples(nullptr);
  next_ = event;
}

std::unique_ptr<InputSource> LiveInput::fork() {
  auto branch = std::make_unique<LiveInput>(board_, exchange_);
  branch->log_.assign(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(next_));
  branch->next_ = next_;
  branch->reached_count_ = board_.clock().count();
  branch->reached_time_ = board_.clock().now();
  return branch;
}

std::vector<std::string> LiveInput::describe(u64 from, u64 most) {
  std::vector<std::string> lines;
  for (u64 i = from; i < log_.size() && i - from < most; ++i) {
    lines.push_back(line(i, log_[i].count, log_[i].time, replay::describe(replay::to_event(log_[i].input))));
  }
  return lines;
}

std::optional<InstrCount> LiveInput::next_visit(InstrCount now) {
  std::optional<InstrCount> next;
  if (next_ < log_.size()) {
    if (!log_[next_].idle) next = std::max(now, log_[next_].count);
  } else if (exchange_) {
    // As a PollingDoor, from where the host was asked last.
    next = InstrCount{(std::max(now, reached_count_).value / kPollEvery + 1) * kPollEvery};
  }
  return next;
}

bool LiveInput::visit(std::optional<VirtualNs> idle_until) {
  const Clock& clock = board_.clock();
  idle_ = idle_until.has_value();
  while (next_ < log_.size()) {
    const Logged& due = log_[next_];
    if (due.count != clock.count() || due.time != clock.now() || due.idle != idle_) return true;
    ++next_;
    board_.enter(due.input);
  }
  if (!exchange_ || clock.count() < reached_count_ || (clock.count() == reached_count_ && clock.now() < reached_time_))
    return true;
  reached_count_ = clock.count();
  reached_time_ = clock.now();
  return exchange_(*this, idle_until);
}

void LiveInput::enter(const Input& input) {
  const Clock& clock = board_.clock();
  log_.push_back({clock.count(), clock.now(), idle_, input});
  next_ = log_.size();
  board_.enter(input);
  reached_time_ = std::max(reached_time_, clock.now());
}

std::unique_ptr<InputSource> RecordedInput::fork() {
  board_.machine().clock().use_samples(nullptr);
  return std::make_unique<LiveInput>(board_, LiveInput::Exchange{});
}

void RecordedInput::moved(u64 event) {
  playback_.use_recorded_time();
  player_.moved(event);
  player_.play({.count = board_.clock().count(), .time = {}, .event = {}});  // makes it look at the event
}

std::string RecordedInput::ending() const {
  if (player_.divergence()) return "the replay differs from the recording: " + player_.divergence()->what;
  if (player_.error()) return player_.error()->message;
  if (player_.end()) return "the end of the recording (" + player_.end()->reason + ")";
  return "the recording is not complete, this is its last event";
}

std::vector<std::string> RecordedInput::describe(u64 from, u64 most) {
  std::vector<std::string> lines;
  const u64 position = player_.next_event();
  reader_.seek_event(from);
  while (lines.size() < most) {
    const replay::Event* event = reader_.next();
    if (!event) break;
    lines.push_back(line(event->number, event->moment.count, event->moment.time, replay::describe(event->body)));
  }
  moved(position);
  return lines;
}

}  // namespace rondo::gdb
