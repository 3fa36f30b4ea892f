#include "harness/gdb/monitor.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

namespace rondo::gdb {
namespace {

constexpr std::size_t kHistoryKept = 1000;
constexpr u64 kNear = 64'000'000;  // instructions that one machine plays before others are asked for help

constexpr char kHelp[] =
    "when                        the Moment: instruction count, virtual time, next event, RIP\n"
    "seek MOMENT                 go there: a count (1.5M), a time (2.5s), event:N, end, end-N, start, +N, -N\n"
    "checkpoint                  remember this Moment; restart N goes back to it; checkpoint list\n"
    "events [FROM [N]]           what entered the machine, from an event's number on\n"
    "last-write ADDR [LEN] [go]  who wrote there last; `go`: and go there\n"
    "first-execution ADDR [go]   when this instruction was executed for the first time\n"
    "history [back|forward]      the places you were at\n"
    "branch [leave]              what you changed; leave: undo it\n"
    "physical [on|off]           memory is read and written by physical address\n"
    "hash                        the state hash of the machine\n"
    "ADDR is a number or, with --symbols, a name. After a command that moves, gdb has to forget what it knows:\n"
    "  maintenance flush register-cache\n";

std::optional<u64> number(const std::string& text, int base) {
  u64 value = 0;
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const char* begin = text.data() + (hex ? 2 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value, hex ? 16 : base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string Monitor::run(const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  if (words.empty() || words[0] == "help") return kHelp;
  const std::string& command = words[0];
  if (command == "when") return when();
  if (command == "seek") return seek(words);
  if (command == "checkpoint") return checkpoint(words);
  if (command == "restart") return restart(words);
  if (command == "events") return events(words);
  if (command == "last-write") return last_write(words);
  if (command == "first-execution") return first_execution(words);
  if (command == "history") return history(words);
  if (command == "branch") return branch(words);
  if (command == "physical") return physical(words);
  if (command == "hash") return hash();
  return "no such command: " + command + " (try: monitor help)\n";
}

std::string Monitor::describe(Position position) const {
  return position.deliveries == 0
             ? fmt::format("instruction {}", position.count.value)
             : fmt::format("instruction {}, delivery {}", position.count.value, position.deliveries);
}

std::string Monitor::when() {
  TimeTravel& travel = debuggee_.travel();
  const Clock& clock = travel.machine().clock();
  std::string text = fmt::format("{}, {} ns, next event {}, RIP {}", describe(travel.position()), clock.now().value,
                                 travel.input().next_event(), debuggee_.name(debuggee_.linear_pc()));
  if (travel.on_branch()) text += ", on a branch";
  return text + "\n";
}

// ---- Moving ----

void Monitor::leaving() {
  const Position here = debuggee_.travel().position();
  if (back_.empty() || back_.back() != here) back_.push_back(here);
  if (back_.size() > kHistoryKept) back_.erase(back_.begin());
  forward_.clear();
}

std::string Monitor::arrive(const Stop& stop) {
  std::string text;
  if (stop.why == Stop::Why::interrupted) text = "interrupted\n";
  if (stop.why == Stop::Why::end) text = stop.message + "\n";
  return text + when();
}

std::string Monitor::move(Position target) {
  leaving();
  return arrive(debuggee_.travel().go_to(target));
}

std::string Monitor::seek(const Words& words) {
  if (words.size() != 2) return "seek MOMENT: a count (1.5M), a time (2.5s), event:N, end, end-N, start, +N, -N\n";
  const std::string& name = words[1];
  TimeTravel& travel = debuggee_.travel();
  const u64 here = travel.position().count.value;
  if (name == "start") return move(travel.start());
  if (name[0] == '+' || name[0] == '-') {
    const auto distance = number(name.substr(1), 10);
    if (!distance) return "'" + name + "' is no number of instructions\n";
    if (name[0] == '-') return move({InstrCount{here - std::min(here, *distance)}, 0});
    return move({InstrCount{here + std::min(*distance, ~here)}, 0});
  }
  const Result<recordings::MomentName> moment = recordings::parse_moment(name);
  if (!moment) return moment.error().message + "\n";
  using Kind = recordings::MomentName::Kind;
  if (moment->kind == Kind::count) return move({InstrCount{moment->value}, 0});
  if (moment->kind == Kind::time) {
    leaving();
    return arrive(travel.go_to(VirtualNs{moment->value}));
  }
  const Result<Position> target = resolve_(*moment);
  return target ? move(*target) : target.error().message + "\n";
}

std::string Monitor::checkpoint(const Words& words) {
  if (words.size() == 1) {
    checkpoints_[next_checkpoint_] = debuggee_.travel().position();
    return fmt::format("checkpoint {} at {}\n", next_checkpoint_++, describe(debuggee_.travel().position()));
  }
  if (words[1] != "list") return "checkpoint [list]\n";
  std::string text;
  for (const auto& [n, position] : checkpoints_) text += fmt::format("{}: {}\n", n, describe(position));
  return text.empty() ? "no checkpoints\n" : text;
}

std::string Monitor::restart(const Words& words) {
  const auto n = words.size() == 2 ? number(words[1], 10) : std::nullopt;
  const auto found = n ? checkpoints_.find(static_cast<unsigned>(*n)) : checkpoints_.end();
  if (found == checkpoints_.end()) return "restart N: the number of a checkpoint (monitor checkpoint list)\n";
  return move(found->second);
}

std::string Monitor::history(const Words& words) {
  if (words.size() == 1) {
    std::string text;
    for (const Position position : back_) text += "  " + describe(position) + "\n";
    text += "* " + describe(debuggee_.travel().position()) + "\n";
    for (auto it = forward_.rbegin(); it != forward_.rend(); ++it) text += "  " + describe(*it) + "\n";
    return text;
  }
  const bool back = words[1] == "back";
  if (!back && words[1] != "forward") return "history [back|forward]\n";
  std::vector<Position>& from = back ? back_ : forward_;
  if (from.empty()) return back ? "no earlier place\n" : "no later place\n";
  const Position target = from.back();
  from.pop_back();
  (back ? forward_ : back_).push_back(debuggee_.travel().position());
  return arrive(debuggee_.travel().go_to(target));
}

std::string Monitor::branch(const Words& words) {
  TimeTravel& travel = debuggee_.travel();
  if (words.size() == 2 && words[1] == "leave") return travel.leave_branch() ? when() : "not on a branch\n";
  if (words.size() != 1) return "branch [leave]\n";
  std::string text;
  for (const Position begin : travel.branches()) text += "changed at " + describe(begin) + "\n";
  if (travel.changed_here()) text += "changed here\n";
  return text.empty() ? "nothing was changed\n" : text;
}

// ---- Looking ----

std::string Monitor::events(const Words& words) {
  InputSource& input = debuggee_.travel().input();
  const auto from = words.size() > 1 ? number(words[1], 10) : input.next_event();
  const auto most = words.size() > 2 ? number(words[2], 10) : 20;
  if (!from || !most) return "events [FROM [N]]\n";
  std::string text;
  for (const std::string& line : input.describe(*from, std::min<u64>(*most, 1000))) text += line + "\n";
  return text.empty() ? "no events from there on\n" : text;
}

std::optional<u64> Monitor::address(const std::string& word) const {
  if (const auto value = number(word, 10)) return value;
  if (word.starts_with('*')) return address(word.substr(1));
  return debuggee_.symbols().find(word);
}

// The last hit before `here`, or the first one; the machine goes there.
Stop Monitor::find(DebugPoints points, Direction direction, Position here) {
  TimeTravel& travel = debuggee_.travel();
  const bool back = direction == Direction::backwards;
  const Position start = travel.start();
  travel.set_points(points);
  Position end = here;
  if (recording_search_ && !travel.on_branch() && here.count.value - start.count.value > kNear) {
    if (back) {  // what is near is found at once
      end = {here.count - kNear, 0};
      const Stop stop = travel.resume_back_to(end);
      if (stop.why != Stop::Why::arrived) return stop;
    }
    const auto ask = [&travel](InstrCount at) { return travel.ask(at); };
    const RecordingSearch::Answer answer = recording_search_->find(points, start, end, direction, ask);
    if (answer.ended == RecordingSearch::Ended::interrupted) return {.why = Stop::Why::interrupted};
    if (answer.ended == RecordingSearch::Ended::searched && !answer.hit) return {.why = Stop::Why::start};
    if (answer.hit) {
      const Stop stop = travel.go_to(*answer.hit);
      return stop.why == Stop::Why::arrived ? Stop{.why = Stop::Why::breakpoint} : stop;
    }
  }
  if (back) {
    travel.go_to(end);
    return travel.resume(Direction::backwards);
  }
  travel.go_to(start);
  return travel.resume_to(here);
}

std::string Monitor::search(DebugPoints points, Direction direction, bool go, const std::string& what) {
  TimeTravel& travel = debuggee_.travel();
  const Position here = travel.position();
  const DebugPoints kept = travel.points();
  const TimeTravel::Accept kept_accept = travel.accept();
  leaving();
  const Stop stop = find(std::move(points), direction, here);
  travel.set_points(kept, kept_accept);
  const bool found = stop.why == Stop::Why::watchpoint || stop.why == Stop::Why::breakpoint;
  std::string text = found                                ? what + ": " + when()
                     : stop.why == Stop::Why::interrupted ? "interrupted\n"
                                                          : "not found before here\n";
  if (!found || !go) travel.go_to(here);
  return text;
}

std::string Monitor::last_write(const Words& words) {
  constexpr char kUsage[] = "last-write ADDR [LEN] [go]\n";
  Words rest(words.begin() + 1, words.end());
  const bool go = !rest.empty() && rest.back() == "go";
  if (go) rest.pop_back();
  if (rest.empty() || rest.size() > 2) return kUsage;
  const auto at = address(rest[0]);
  const auto length = rest.size() == 2 ? number(rest[1], 10) : 1;
  if (!at || !length || *length == 0) return kUsage;
  DebugPoints points;
  points.watchpoints.push_back({GuestLinear{*at}, *length, WatchKind::write});
  return search(std::move(points), Direction::backwards, go, "written by");
}

std::string Monitor::first_execution(const Words& words) {
  const bool go = words.size() == 3 && words[2] == "go";
  const auto at = words.size() == 2 || go ? address(words[1]) : std::nullopt;
  if (!at) return "first-execution ADDR [go]\n";
  return search({{GuestLinear{*at}}, {}}, Direction::forwards, go, "executed first");
}

std::string Monitor::physical(const Words& words) {
  if (words.size() == 2 && (words[1] == "on" || words[1] == "off"))
    debuggee_.physical = words[1] == "on";
  else if (words.size() != 1)
    return "physical [on|off]\n";
  return debuggee_.physical ? "addresses are physical\n" : "addresses are virtual\n";
}

std::string Monitor::hash() { return debuggee_.travel().machine().state_hash() + "\n"; }

}  // namespace rondo::gdb
