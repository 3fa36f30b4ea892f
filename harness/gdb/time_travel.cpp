#include "harness/gdb/time_travel.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/assert.h"

namespace rondo::gdb {
namespace {

constexpr u64 kRecentEvery = 8'000'000;  // between the snapshots just behind a machine that runs
constexpr std::size_t kRecentKept = 4;
constexpr u64 kFirstGrid = 4 * kRecentEvery;  // between the ones that stay, at first
constexpr std::size_t kGridMost = 160;        // then every second one goes
constexpr std::size_t kLadderKept = 64;
constexpr u64 kMostPages = (u64{2} << 30) / kPageSize;  // held by snapshots alone
constexpr u64 kWorthLoading = 20'000'000;               // instructions that take longer than a checkpoint from disk
// How far before a place that the user goes to snapshots are laid.
constexpr std::array<u64, 7> kLadder{4'000'000, 1'000'000, 250'000, 60'000, 15'000, 4'000, 1'000};

}  // namespace

// Lets in input, asks whether to go on, and takes snapshots on the way.
class TimeTravel::RunDoor final : public Door {
 public:
  explicit RunDoor(TimeTravel& travel) : travel_(travel) {}
  std::optional<InstrCount> next_visit(InstrCount now) override {
    const InstrCount snapshot{(now.value / kRecentEvery + 1) * kRecentEvery};
    const auto input = travel_.input().next_visit(now);
    input_ = input.value_or(kNever_);
    return std::min({snapshot, travel_.pace_.next(now), input_});
  }
  bool visit(std::optional<VirtualNs> idle_until) override {
    const InstrCount count = travel_.machine_.clock().count();
    if ((idle_until || travel_.pace_.due(count)) && travel_.poll_ && !travel_.poll_()) {
      travel_.interrupted_ = true;
      return false;
    }
    if ((idle_until || input_ <= count) && !travel_.input().visit(idle_until)) {
      travel_.input_ended_ = true;
      return false;
    }
    if (!idle_until && count.value % kRecentEvery == 0) travel_.on_grid(count);
    return true;
  }
  bool visit_candidate() override { return travel_.input().visit_candidate(); }

 private:
  static constexpr InstrCount kNever_{~u64{0}};
  TimeTravel& travel_;
  InstrCount input_;
};

TimeTravel::TimeTravel(Machine& machine, InputSource& input)
    : machine_(machine), door_(std::make_unique<RunDoor>(*this)), grid_(kFirstGrid) {
  branches_.emplace_back();
  branches_.front().begin = {machine.clock().count(), 0};
  branches_.front().input = &input;
  base_ = branches_.front().begin;
  input.moved(input.next_event());
  take_snapshot();
}

TimeTravel::~TimeTravel() { machine_.engine().set_debug_points({}); }

Position TimeTravel::position() const {
  Position here{machine_.clock().count(), machine_.engine().deliveries()};
  if (here.count == base_.count) here.deliveries += base_.deliveries;
  return here;
}

// ---- Running ----

void TimeTravel::set_points(DebugPoints points, Accept accept) {
  points_ = std::move(points);
  accept_ = std::move(accept);
  points_stale_ = true;
}

void TimeTravel::use_points(bool breakpoints, bool watchpoints) {
  breakpoints = breakpoints && !points_.breakpoints.empty();
  watchpoints = watchpoints && !points_.watchpoints.empty();
  const bool any_in = breakpoints_in_ || watchpoints_in_;
  if (breakpoints == breakpoints_in_ && watchpoints == watchpoints_in_ &&
      !(points_stale_ && (any_in || breakpoints || watchpoints)))
    return;
  breakpoints_in_ = breakpoints;
  watchpoints_in_ = watchpoints;
  points_stale_ = false;
  DebugPoints points;
  if (breakpoints) points.breakpoints = points_.breakpoints;
  if (watchpoints) points.watchpoints = points_.watchpoints;
  machine_.engine().set_debug_points(std::move(points));
}

// What is due on arrival at a count: the input of that count and timers. Whatever stopped the machine there.
void TimeTravel::settle() {
  const InstrCount count = machine_.clock().count();
  for (auto next = input().next_visit(count); next && *next <= count; next = input().next_visit(count)) {
    if (!input().visit(std::nullopt)) {
      input_ended_ = true;
      return;
    }
    if (const auto again = input().next_visit(count); again == next) break;
  }
  machine_.clock().fire_due();
}

// Where a branch begins, its changes are made.
bool TimeTravel::cross() {
  if (current_ + 1 >= branches_.size() || position() < branches_[current_ + 1].begin) return false;
  restore(current_ + 1, branches_[current_ + 1].snapshots.begin());
  return true;
}

// Runs until `to`, a hit, or so many steps. Crosses into branches on the way.
TimeTravel::Ran TimeTravel::run(std::optional<Position> to, bool with_breakpoints, bool with_watchpoints,
                                std::optional<u64> steps) {
  use_points(with_breakpoints, with_watchpoints);
  interrupted_ = false;
  while (true) {
    if (cross()) continue;
    const Position here = position();
    if (to && here >= *to) return Ran::arrived;
    if (input_ended_ || machine_ended_) return Ran::ended;
    std::optional<Position> limit = to;
    if (current_ + 1 < branches_.size())
      limit = std::min(limit.value_or(Position{InstrCount{~u64{0}}}), branches_[current_ + 1].begin);
    RunLimits limits;
    limits.single_step = steps || (limit && limit->count == here.count);
    if (limits.single_step)
      limits.steps = 1;
    else if (limit)
      limits.instructions = limit->count;
    const RunResult result = machine_.run(limits, door_.get());
    switch (result.reason) {
      case ExitReason::instruction_limit:
        // A REP in several goes has done its step when it is through.
        if (machine_.clock().count() != here.count) settle();
        break;
      case ExitReason::debug:
        if (machine_.engine().debug_stop().kind == DebugStop::Kind::watchpoint) settle();
        return Ran::hit;
      case ExitReason::stopped:
        if (interrupted_) {
          // In the midst of idling there is no Position: back to where it begins.
          if (machine_.engine().state().activity == Activity::halted)
            restore_here();
          else
            settle();
          return Ran::interrupted;
        }
        input_ended_ = true;
        break;  // perhaps just where it was to go
      default:
        machine_ended_ = result;
        break;
    }
    // Also the step that ends the run is done.
    if (steps && position() != here) {
      cross();
      return Ran::arrived;
    }
  }
}

Position TimeTravel::before_hit() const {
  Position before = machine_.engine().debug_stop().before;
  if (before.count == base_.count) before.deliveries += base_.deliveries;
  return before;
}

bool TimeTravel::accepted() { return !accept_ || accept_(machine_.engine().debug_stop()); }

Stop TimeTravel::stop_of(Ran ran) {
  switch (ran) {
    case Ran::arrived:
      return {};
    case Ran::interrupted:
      return {.why = Stop::Why::interrupted};
    case Ran::hit: {
      const DebugStop& hit = machine_.engine().debug_stop();
      const bool breakpoint = hit.kind == DebugStop::Kind::breakpoint;
      return {.why = breakpoint ? Stop::Why::breakpoint : Stop::Why::watchpoint, .hit = hit};
    }
    case Ran::ended:
      break;
  }
  return {.why = Stop::Why::end,
          .message = machine_ended_ ? "the guest ended the run: " + std::string(to_string(machine_ended_->reason))
                                    : input().ending()};
}

void TimeTravel::restore_here() {
  const Position here = position();
  const auto poll = std::exchange(poll_, {});
  restore(current_, nearest(current_, here));
  run(here, false, false);
  poll_ = poll;
  interrupted_ = true;
}

// ---- Forwards ----

Stop TimeTravel::step(Direction direction) {
  depart();
  return direction == Direction::forwards ? step_forwards() : step_backwards();
}

Stop TimeTravel::step_while(const std::function<bool()>& on) {
  depart();
  while (true) {
    const Stop stop = step_forwards();
    if (stop.why != Stop::Why::arrived || !on()) return stop;
  }
}

Stop TimeTravel::step_forwards() {
  const Ran ran = run(std::nullopt, false, true, 1);
  if (ran == Ran::hit && !accepted()) return {};
  return stop_of(ran);
}

Stop TimeTravel::resume(Direction direction) {
  depart();
  return direction == Direction::backwards ? resume_backwards(std::nullopt) : resume_forwards(std::nullopt);
}

Stop TimeTravel::resume_to(Position target) {
  depart();
  return resume_forwards(target);
}

Stop TimeTravel::resume_forwards(std::optional<Position> target) {
  while (true) {
    machine_.engine().pass_breakpoint();
    const Ran ran = run(target, true, true);
    if (ran != Ran::hit || accepted()) return stop_of(ran);
  }
}

// ---- To and fro ----

Stop TimeTravel::go_to(Position target) {
  depart();
  if (target < start()) {
    travel(start());
    return {.why = Stop::Why::start};
  }
  return stop_of(travel(target));
}

Stop TimeTravel::go_to(VirtualNs time) {
  depart();
  // Counts alone do not say when: from the last snapshot before the time.
  std::size_t branch = branches_.size() - 1;
  while (branch > 0 && branches_[branch].snapshots.begin()->second.state.time > time) --branch;
  auto from = branches_[branch].snapshots.begin();
  for (auto it = from; it != branches_[branch].snapshots.end() && it->second.state.time <= time; ++it) from = it;
  restore(branch, from);
  use_points(false, false);
  interrupted_ = false;
  const RunResult result = machine_.run({.instructions = {}, .virtual_time = time}, door_.get());
  if (result.reason != ExitReason::time_limit && !interrupted_) {
    if (!input_ended_) machine_ended_ = result;
    return stop_of(Ran::ended);
  }
  const bool interrupted = interrupted_;
  const Ran ran = travel(position());
  return interrupted ? stop_of(Ran::interrupted) : stop_of(ran);
}

std::string TimeTravel::doing() const {
  const std::string here = std::to_string(asked_at_.value_or(machine_.clock().count()).value);
  if (looking_back_from_)
    return "looking back from instruction " + std::to_string(looking_back_from_->count.value) + ", now at " + here;
  if (on_the_way_to_) return "going to instruction " + std::to_string(on_the_way_to_->count.value) + ", now at " + here;
  return {};
}

TimeTravel::Ran TimeTravel::travel(Position target) {
  on_the_way_to_ = target;
  const std::size_t branch = branch_of(target);
  const auto from = nearest(branch, target);
  const Position here = position();
  const bool run_on = branch == current_ && here < target && from->first <= here;
  if (!run_on) restore(branch, from);
  for (const u64 distance : kLadder) {
    if (target.count.value < distance) continue;
    const InstrCount rung = target.count - distance;
    // Not where a snapshot is near already.
    if (rung <= position().count || rung.value - position().count.value < distance / 2) continue;
    const Ran ran = run(Position{rung, 0}, false, false);
    if (ran != Ran::arrived) return ran;
    take_snapshot();
    ladder_.push_back(position());
  }
  drop(ladder_, kLadderKept);
  return run(target, false, false);
}

// The way that a search has to go at its end is short, and there is nowhere else to stop.
TimeTravel::Ran TimeTravel::travel_certainly(Position target) {
  const auto poll = std::exchange(poll_, {});
  const Ran ran = travel(target);
  poll_ = poll;
  return ran;
}

Stop TimeTravel::step_backwards() {
  const Position here = position();
  if (here <= start()) return {.why = Stop::Why::start};
  if (here.deliveries > 0) return stop_of(travel({here.count, here.deliveries - 1}));
  const Position earlier{std::max(here.count - 1, start().count), 0};
  // The last Position at the count before this one: where a step leads here.
  Ran ran = travel(std::max(earlier, start()));
  if (ran != Ran::arrived) return stop_of(ran);
  Position last = position();
  take_snapshot();
  ladder_.push_back(last);
  while (true) {
    ran = run(std::nullopt, false, true, 1);
    if (ran == Ran::interrupted) break;
    if (position() >= here || ran == Ran::ended) break;
    last = position();
  }
  const bool hit = ran == Ran::hit && accepted();
  Stop stop = hit ? stop_of(ran) : Stop{};
  ran = travel(last);
  if (ran != Ran::arrived) return stop_of(ran);
  return stop;
}

// On to `end`: the last hit before it, or the first, where it stops.
TimeTravel::Ran TimeTravel::scan(Position end, Direction direction, std::optional<Hit>& found) {
  while (true) {
    const Ran ran = run(end, true, true);
    if (ran != Ran::hit) return ran;
    const bool breakpoint = machine_.engine().debug_stop().kind == DebugStop::Kind::breakpoint;
    const Position at = breakpoint ? position() : before_hit();
    if (at >= end) return Ran::arrived;
    if (accepted()) {
      found = {at, stop_of(ran)};
      if (direction == Direction::forwards) return ran;
    }
    machine_.engine().pass_breakpoint();
  }
}

Stop TimeTravel::resume_backwards(std::optional<Position> earliest) {
  const Position here = position();
  looking_back_from_ = here;
  Position end = here;
  while (end > earliest.value_or(start())) {
    const Position earlier =
        end.deliveries > 0 ? Position{end.count, end.deliveries - 1} : Position{end.count - 1, ~u64{0}};
    const std::size_t branch = branch_of(earlier);
    const auto from = nearest(branch, earlier);
    const Position begin = from->first;
    restore(branch, from);
    std::optional<Hit> last;
    if (scan(end, Direction::backwards, last) == Ran::interrupted) {
      travel_certainly(here);
      return {.why = Stop::Why::interrupted};
    }
    if (last && earliest && last->first < *earliest) return {};
    if (last) {
      const Ran back = travel_certainly(last->first);
      return back == Ran::arrived ? last->second : stop_of(back);
    }
    end = begin;
  }
  if (earliest) return {};
  travel(start());
  return {.why = Stop::Why::start};
}

Stop TimeTravel::resume_back_to(Position earliest) {
  depart();
  return resume_backwards(earliest);
}

std::optional<Position> TimeTravel::hit_between(Position from, Position to, Direction direction) {
  depart();
  const std::size_t branch = branch_of(from);
  restore(branch, nearest(branch, from));
  std::optional<Hit> found;
  if (run(from, false, false) != Ran::arrived || scan(to, direction, found) == Ran::interrupted || !found) return {};
  return found->first;
}

bool TimeTravel::ask(InstrCount at) {
  asked_at_ = at;
  return !poll_ || poll_();
}

// ---- Branches ----

std::size_t TimeTravel::branch_of(Position target) const {
  std::size_t branch = 0;
  while (branch + 1 < branches_.size() && branches_[branch + 1].begin <= target) ++branch;
  return branch;
}

std::vector<Position> TimeTravel::branches() const {
  std::vector<Position> list;
  for (std::size_t i = 1; i < branches_.size(); ++i) list.push_back(branches_[i].begin);
  return list;
}

void TimeTravel::set_cpu(const CpuState& cpu) {
  base_ = position();  // the engine begins to count deliveries anew
  machine_.engine().set_state(cpu);
  written_ = true;
}

bool TimeTravel::write_physical(GuestPhys address, std::span<const u8> bytes) {
  PhysicalMemory& memory = machine_.memory();
  if (bytes.empty()) return true;
  if (!memory.write(address, bytes)) return false;
  std::vector<u64> pages;
  for (u64 page = memory.page_index(memory.host(address));
       page <= memory.page_index(memory.host(address + (bytes.size() - 1))); ++page) {
    pages.push_back(page);
  }
  machine_.engine().pages_changed(pages);
  written_ = true;
  return true;
}

// The user leaves this place: the changes that were made here become the beginning of a branch.
void TimeTravel::depart() {
  pace_.restart(machine_.clock().count());
  looking_back_from_.reset();
  on_the_way_to_.reset();
  asked_at_.reset();
  if (!written_) return;
  written_ = false;
  const Position here = position();
  std::unique_ptr<InputSource> input = branches_[current_].input->fork();
  while (branches_.size() > 1 && branches_.back().begin >= here) branches_.pop_back();
  while (branches_.size() > current_ + 1) branches_.pop_back();
  Branch branch;
  branch.begin = here;
  branch.input = input.get();
  branch.own_input = std::move(input);
  branches_.push_back(std::move(branch));
  current_ = branches_.size() - 1;
  recent_.clear();
  ladder_.clear();
  machine_ended_.reset();
  input_ended_ = false;
  take_snapshot();
  if (branch_begun_) branch_begun_();
}

bool TimeTravel::leave_branch() {
  depart();
  if (branches_.size() == 1) return false;
  const Position begin = branches_.back().begin;
  branches_.pop_back();
  if (current_ >= branches_.size()) restore(branches_.size() - 1, nearest(branches_.size() - 1, begin));
  travel(begin);
  return true;
}

// ---- Snapshots ----

void TimeTravel::take_snapshot() {
  Branch& branch = branches_[current_];
  const Position here = position();
  if (branch.snapshots.contains(here)) return;
  Snapshot snapshot;
  snapshot.event = branch.input->next_event();
  snapshot.state = machine_.snapshot();
  snapshot.state.memory.for_each_difference(last_pages_, [&](u64, const Page*, const Page*) { ++snapshot.pages; });
  last_pages_ = snapshot.state.memory;
  pages_ += snapshot.pages;
  branch.snapshots.emplace(here, std::move(snapshot));
  if (pages_ > kMostPages) thin_out();
}

// At a multiple of kRecentEvery on the way.
void TimeTravel::on_grid(InstrCount count) {
  const Position here = position();
  if (forgetful_ || branches_[current_].snapshots.contains(here)) return;
  machine_.clock().fire_due();  // as at an arrival
  take_snapshot();
  if (count.value % grid_ == 0) {
    if (branches_[current_].snapshots.size() > kGridMost + kRecentKept + kLadderKept) thin_out();
    return;
  }
  recent_.push_back(here);
  drop(recent_, kRecentKept);
}

void TimeTravel::drop(std::deque<Position>& list, std::size_t keep) {
  Branch& branch = branches_[current_];
  while (list.size() > keep) {
    const auto found = branch.snapshots.find(list.front());
    list.pop_front();
    if (found == branch.snapshots.end() || found->first == branch.begin) continue;
    if (found->first.deliveries == 0 && found->first.count.value % grid_ == 0) continue;
    pages_ -= std::min(pages_, found->second.pages);
    branch.snapshots.erase(found);
  }
}

// Half of the grid, and of what lies beside it all but the newest.
void TimeTravel::thin_out() {
  grid_ *= 2;
  drop(recent_, 1);
  drop(ladder_, kLadder.size());
  for (Branch& branch : branches_) {
    std::erase_if(branch.snapshots, [&](const auto& entry) {
      const Position at = entry.first;
      if (at == branch.begin || at == position() || (at.deliveries == 0 && at.count.value % grid_ == 0)) return false;
      if (std::find(recent_.begin(), recent_.end(), at) != recent_.end()) return false;
      return std::find(ladder_.begin(), ladder_.end(), at) == ladder_.end();
    });
  }
  pages_ = 0;
  for (const Branch& branch : branches_) {
    for (const auto& entry : branch.snapshots) pages_ += entry.second.pages;
  }
}

std::map<Position, TimeTravel::Snapshot>::iterator TimeTravel::nearest(std::size_t index, Position target) {
  Branch& branch = branches_[index];
  const auto found = std::prev(branch.snapshots.upper_bound(std::max(target, branch.begin)));
  if (index != 0 || !keep_ || target.count - found->first.count < kWorthLoading) return found;
  const std::optional<Kept> kept = keep_(found->first.count + kWorthLoading, target.count);
  if (!kept) return found;
  const Position at{kept->state.count, 0};
  restore(0, branch.snapshots.emplace(at, Snapshot{kept->event, kept->state, 0}).first);
  // As an arrival leaves it.
  branch.snapshots.erase(at);
  if (forgetful_) branch.snapshots.erase(std::next(branch.snapshots.begin()), branch.snapshots.end());
  settle();
  take_snapshot();
  return branch.snapshots.find(at);
}

void TimeTravel::restore(std::size_t branch, std::map<Position, Snapshot>::iterator snapshot) {
  if (branch != current_) {
    recent_.clear();
    ladder_.clear();
  }
  current_ = branch;
  written_ = false;
  input_ended_ = false;
  machine_ended_.reset();
  const Status restored = machine_.restore(snapshot->second.state);
  RONDO_ASSERT(restored);  // a snapshot of this machine
  last_pages_ = snapshot->second.state.memory;
  base_ = snapshot->first;
  branches_[branch].input->moved(snapshot->second.event);
  if (rewound_) rewound_();
}

std::size_t TimeTravel::snapshot_count() const {
  std::size_t n = 0;
  for (const Branch& branch : branches_) n += branch.snapshots.size();
  return n;
}

}  // namespace rondo::gdb
