// A machine that goes backwards: snapshots in memory, and running forwards from the nearest one.
//
// Snapshots lie on a coarse grid over everything that was ever passed, and close together before the places where the
// user was, so that the next step back costs next to nothing. Whatever the way, the machine stands in the same state at
// the same Position: arriving at a count lets in the input of that count and fires its timers, and nothing else.
//
// Whoever changes the machine begins a branch: another future from there on. What came before stays as it was.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/machine.h"
#include "harness/gdb/input_source.h"
#include "harness/gdb/poll_pace.h"

namespace rondo::gdb {

enum class Direction : u8 { forwards, backwards };

struct Stop {
  enum class Why : u8 {
    arrived,  // a step was done, a Position reached
    breakpoint,
    watchpoint,
    interrupted,  // by the user
    start,        // going back came to the first Moment
    end           // the run ended here, or its recording did: `message`
  };
  Why why = Why::arrived;
  DebugStop hit = {};  // breakpoint, watchpoint
  std::string message = {};
};

class TimeTravel {
 public:
  // The machine stands at the first Moment that can be reached. `input` outlives this.
  TimeTravel(Machine& machine, InputSource& input);
  ~TimeTravel();
  TimeTravel(const TimeTravel&) = delete;
  TimeTravel& operator=(const TimeTravel&) = delete;

  Machine& machine() { return machine_; }
  Position position() const;
  Position start() const { return branches_.front().begin; }

  // Asked every few milliseconds while it runs, or after every so many instructions: false interrupts.
  void on_poll(std::function<bool()> poll, std::optional<u64> every = {}) {
    poll_ = std::move(poll);
    pace_ = PollPace(every);
  }
  // Called when the machine was put back: output that follows may have been seen already.
  void on_rewind(std::function<void()> rewound) { rewound_ = std::move(rewound); }

  // The newest state that is kept elsewhere (the checkpoints of a recording) with newer_than < count <= at_or_before.
  struct Kept {
    MachineSnapshot state;
    u64 event = 0;  // the next one
  };
  using Keep = std::function<std::optional<Kept>(InstrCount newer_than, InstrCount at_or_before)>;
  void use_kept(Keep keep) { keep_ = std::move(keep); }
  void on_branch_begin(std::function<void()> begun) { branch_begun_ = std::move(begun); }

  // Where to stop. `accept` is asked at each hit, with the machine at it; empty: always.
  using Accept = std::function<bool(const DebugStop&)>;
  void set_points(DebugPoints points, Accept accept = {});
  const DebugPoints& points() const { return points_; }
  const Accept& accept() const { return accept_; }

  // One instruction (a REP is one) or one delivery. Breakpoints do not count, watchpoints do.
  Stop step(Direction direction);
  // Forwards, one step at least; `on` is asked after each.
  Stop step_while(const std::function<bool()>& on);
  // To a point, or as far as it goes. Backwards: to the last hit before here; a watchpoint's is before the access.
  Stop resume(Direction direction);
  // Backwards to the last hit before here that is not before `earliest`. If there is none: arrived, somewhere.
  Stop resume_back_to(Position earliest);
  // The last (backwards) or first hit that is not before `from` and before `to`; none also if it was interrupted.
  std::optional<Position> hit_between(Position from, Position to, Direction direction);
  // Forwards to a point before `target`, else to it.
  Stop resume_to(Position target);
  Stop go_to(Position target);
  Stop go_to(InstrCount count) { return go_to(Position{count, 0}); }
  // The first count at or after this time; in the midst of idling, the one before it.
  Stop go_to(VirtualNs time);

  // Changes by somebody else than the guest: from here on it is a branch.
  void set_cpu(const CpuState& cpu);
  bool write_physical(GuestPhys address, std::span<const u8> bytes);
  bool on_branch() const { return current_ > 0 || written_; }
  // Something was changed since the machine came here: what is done next begins a branch.
  bool changed_here() const { return written_; }
  // Where the branches begin, in order.
  std::vector<Position> branches() const;
  // Gives up the innermost branch, and stands where it began. False: there is none.
  bool leave_branch();

  // For a search that goes on elsewhere: asks, as a machine that runs does, whether to go on.
  bool ask(InstrCount at);
  // Snapshots are kept of the start only, and of where it was put last.
  void forget_snapshots() { forgetful_ = true; }
  // What takes long, while a poll asks: a search backwards or the way to a place. Empty: the machine just runs.
  std::string doing() const;

  InputSource& input() { return *branches_[current_].input; }
  std::size_t snapshot_count() const;

 private:
  struct Snapshot {
    u64 event = 0;  // of the branch's input
    MachineSnapshot state;
    u64 pages = 0;  // that it does not share with the one taken before it
  };
  struct Branch {
    Position begin;
    InputSource* input = nullptr;
    std::unique_ptr<InputSource> own_input;
    std::map<Position, Snapshot> snapshots;  // the one at `begin` is always there
  };
  class RunDoor;
  enum class Ran : u8 { arrived, hit, interrupted, ended };

  Ran run(std::optional<Position> to, bool with_breakpoints, bool with_watchpoints, std::optional<u64> steps = {});
  bool cross();
  void settle();
  void restore_here();
  void use_points(bool breakpoints, bool watchpoints);
  Stop stop_of(Ran ran);
  bool accepted();
  Position before_hit() const;
  Stop step_forwards();
  Stop step_backwards();
  Stop resume_forwards(std::optional<Position> target);
  using Hit = std::pair<Position, Stop>;
  Ran scan(Position end, Direction direction, std::optional<Hit>& found);
  Stop resume_backwards(std::optional<Position> earliest);
  Ran travel(Position target);
  Ran travel_certainly(Position target);

  void take_snapshot();
  void on_grid(InstrCount count);
  void thin_out();
  void drop(std::deque<Position>& list, std::size_t keep);
  void restore(std::size_t branch, std::map<Position, Snapshot>::iterator snapshot);
  std::size_t branch_of(Position position) const;
  std::map<Position, Snapshot>::iterator nearest(std::size_t branch, Position position);
  void depart();

  Machine& machine_;
  std::unique_ptr<RunDoor> door_;
  std::vector<Branch> branches_;
  std::size_t current_ = 0;
  Position base_;  // of the last restore: the engine counts deliveries from it
  bool written_ = false;
  std::function<bool()> poll_;
  PollPace pace_;
  std::function<void()> rewound_, branch_begun_;
  DebugPoints points_;
  Accept accept_;
  Keep keep_;
  bool breakpoints_in_ = false, watchpoints_in_ = false;  // the engine has them
  bool points_stale_ = true;
  bool interrupted_ = false, input_ended_ = false;
  std::optional<Position> looking_back_from_, on_the_way_to_;
  std::optional<InstrCount> asked_at_;  // by ask()
  bool forgetful_ = false;
  std::optional<RunResult> machine_ended_;
  // Snapshots that are not on the grid, oldest first; of the current branch.
  std::deque<Position> recent_, ladder_;
  u64 grid_;
  u64 pages_ = 0;
  PageMap last_pages_;
};

}  // namespace rondo::gdb
