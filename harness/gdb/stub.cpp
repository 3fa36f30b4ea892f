#include "harness/gdb/stub.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/gdb/packets.h"

namespace rondo::gdb {
namespace {

constexpr char kOk[] = "OK", kMalformed[] = "E16", kNoMemory[] = "E0e", kRefused[] = "E01";
// Longer watchpoints report every write; shorter ones only those that change the value, as gdb's `watch` wants it.
constexpr u64 kComparedBytes = 64;

bool is_our_thread(std::string_view id) {
  return id == "1" || id == "0" || id == "-1" || id == "p1.1" || id == "p1.-1";
}

}  // namespace

Stub::Stub(Debuggee& debuggee, Monitor& monitor, Architecture architecture)
    : debuggee_(debuggee), monitor_(monitor), registers_(architecture) {}

void Stub::connected() {
  for (auto& set : breakpoints_) set.clear();
  watches_.clear();
  points_changed_ = true;
  apply_points();
  no_acks_ = false;
  after_ = After::go_on;
  debuggee_.physical = false;
  last_stop_ = stop_reply({}, Direction::forwards);
}

std::string Stub::handle(std::string_view packet) {
  if (packet.empty()) return {};
  const std::string_view rest = packet.substr(1);
  switch (packet[0]) {
    case '?':
      return last_stop_;
    case 'g':
      return read_registers();
    case 'G':
      return write_registers(rest);
    case 'p':
      return read_register(rest);
    case 'P':
      return write_register(rest);
    case 'm':
      return read_memory(rest);
    case 'M':
      return write_memory(rest, false);
    case 'X':
      return write_memory(rest, true);
    case 'Z':
      return point(rest, true);
    case 'z':
      return point(rest, false);
    case 'c':
      return resume_at(rest, false);
    case 's':
      return resume_at(rest, true);
    case 'C':
    case 'S': {  // with a signal, which a machine does not have
      Fields fields(rest);
      if (!fields.number()) return kMalformed;
      fields.skip(';');
      return resume_at(fields.rest(), packet[0] == 'S');
    }
    case 'b':
      if (rest == "s") return step(Direction::backwards);
      if (rest == "c") return resume(Direction::backwards);
      return {};
    case 'H':
      return select_thread(rest);
    case 'T':
      return is_our_thread(rest) ? kOk : kRefused;
    case 'q':
      return query(rest);
    case 'Q':
      return set(rest);
    case 'v':
      return v_packet(rest);
    case 'D':
      after_ = After::detached;
      return kOk;
    case 'k':
      after_ = After::killed;
      return {};
    default:
      return {};
  }
}

// ---- Registers and memory ----

std::string Stub::read_registers() { return to_hex(registers_.read_all(debuggee_.cpu())); }

void Stub::set_cpu(const CpuState& cpu) {
  if (!debuggee_.travel().on_branch())
    pending_text_ += fmt::format("rondo: registers were changed: a branch begins at instruction {}\n", cpu_count());
  debuggee_.set_cpu(cpu);
}

std::string Stub::write_registers(std::string_view digits) {
  const auto bytes = from_hex(digits);
  if (!bytes) return kMalformed;
  CpuState cpu = debuggee_.cpu();
  if (registers_.read_all(cpu) == *bytes) return kOk;
  if (!registers_.write_all(cpu, *bytes)) return kRefused;
  set_cpu(cpu);
  return kOk;
}

std::string Stub::read_register(std::string_view digits) {
  const auto number = Fields(digits).number();
  if (!number || *number > registers_.count()) return kRefused;
  const auto bytes = registers_.read(debuggee_.cpu(), static_cast<unsigned>(*number));
  return bytes ? to_hex(*bytes) : kRefused;
}

std::string Stub::write_register(std::string_view arguments) {
  Fields fields(arguments);
  const auto number = fields.number();
  if (!number || !fields.skip('=')) return kMalformed;
  const auto bytes = from_hex(fields.rest());
  if (!bytes || *number > registers_.count()) return kMalformed;
  CpuState cpu = debuggee_.cpu();
  const auto present = registers_.read(cpu, static_cast<unsigned>(*number));
  if (present == bytes) return kOk;
  if (!registers_.write(cpu, static_cast<unsigned>(*number), *bytes)) return kRefused;
  set_cpu(cpu);
  return kOk;
}

std::string Stub::read_memory(std::string_view arguments) {
  Fields fields(arguments);
  const auto address = fields.number();
  if (!address || !fields.skip(',')) return kMalformed;
  const auto length = fields.number();
  if (!length) return kMalformed;
  std::vector<u8> bytes(std::min<u64>(*length, kMaximumPacket / 2));
  const u64 got = debuggee_.read(*address, bytes);
  if (got == 0 && *length != 0) return kNoMemory;
  return to_hex(std::span<const u8>(bytes).first(got));
}

std::string Stub::write_memory(std::string_view arguments, bool binary) {
  Fields fields(arguments);
  const auto address = fields.number();
  if (!address || !fields.skip(',')) return kMalformed;
  const auto length = fields.number();
  if (!length || !fields.skip(':')) return kMalformed;
  std::vector<u8> bytes;
  if (binary) {
    bytes.assign(fields.rest().begin(), fields.rest().end());
  } else {
    const auto parsed = from_hex(fields.rest());
    if (!parsed) return kMalformed;
    bytes = *parsed;
  }
  if (bytes.size() != *length) return kMalformed;
  const bool before = debuggee_.travel().on_branch();
  if (!debuggee_.write(*address, bytes)) return kNoMemory;
  if (!before && debuggee_.travel().on_branch())
    pending_text_ += fmt::format("rondo: memory was changed: a branch begins at instruction {}\n", cpu_count());
  return kOk;
}

// ---- Breakpoints ----

// Z0..4 "type,address,kind[;X length,expression]..." (E.2).
std::string Stub::point(std::string_view arguments, bool insert) {
  Fields fields(arguments);
  const auto type = fields.number();
  if (!type || !fields.skip(',')) return kMalformed;
  const auto address = fields.number();
  if (!address || !fields.skip(',')) return kMalformed;
  const auto kind = fields.number();
  if (!kind) return kMalformed;
  if (*type > 4) return {};
  points_changed_ = true;
  if (*type <= 1) {
    auto& set = breakpoints_[*type];
    if (!insert) {
      set.erase(*address);
      return kOk;
    }
    Conditions conditions;
    while (fields.skip(';')) {
      if (fields.skip("cmds:")) return {};  // not offered
      while (fields.skip('X')) {
        const auto length = fields.number();
        if (!length || !fields.skip(',') || *length > fields.rest().size() / 2) return kMalformed;
        const auto code = from_hex(fields.rest().substr(0, 2 * *length));
        if (!code) return kMalformed;
        conditions.push_back(*code);
        fields.skip(fields.rest().substr(0, 2 * *length));
      }
    }
    set[*address] = std::move(conditions);
    return kOk;
  }
  static constexpr WatchKind kKinds[] = {WatchKind::write, WatchKind::read, WatchKind::access};
  const Watchpoint watch{GuestLinear{*address}, std::max<u64>(*kind, 1), kKinds[*type - 2]};
  const auto found = std::find_if(watches_.begin(), watches_.end(), [&](const Watch& w) { return w.point == watch; });
  if (insert && found == watches_.end()) watches_.push_back({watch, {}});
  if (!insert && found != watches_.end()) watches_.erase(found);
  return kOk;
}

void Stub::apply_points() {
  remember_values();
  if (!points_changed_) return;
  points_changed_ = false;
  DebugPoints points;
  for (const auto& set : breakpoints_) {
    for (const auto& entry : set) points.breakpoints.emplace_back(entry.first);
  }
  for (const Watch& watch : watches_) points.watchpoints.push_back(watch.point);
  debuggee_.travel().set_points(std::move(points), [this](const DebugStop& hit) { return accept(hit); });
}

void Stub::remember_values() {
  for (Watch& watch : watches_) {
    if (watch.point.kind != WatchKind::write || watch.point.length > kComparedBytes) continue;
    watch.value.resize(watch.point.length);
    watch.value.resize(debuggee_.read(watch.point.address.value, watch.value));
  }
}

bool Stub::accept(const DebugStop& hit) {
  if (hit.kind == DebugStop::Kind::breakpoint) return condition_holds(hit.breakpoint.value);
  bool any = false;
  for (const u32 index : hit.watchpoints) {
    Watch& watch = watches_[index];
    if (watch.point.kind != WatchKind::write || watch.point.length > kComparedBytes) {
      any = true;
      continue;
    }
    std::vector<u8> value(watch.point.length);
    value.resize(debuggee_.read(watch.point.address.value, value));
    any |= value != watch.value;
    watch.value = std::move(value);
  }
  return any;
}

bool Stub::condition_holds(u64 address) {
  const CpuState cpu = debuggee_.cpu();
  const AgentContext context{
      .reg = [&](unsigned number) { return registers_.value(cpu, number); },
      .memory = [&](u64 at, std::span<u8> out) { return debuggee_.read(at, out) == out.size(); },
  };
  for (const auto& set : breakpoints_) {
    const auto found = set.find(address);
    if (found == set.end()) continue;
    if (found->second.empty()) return true;
    for (const std::vector<u8>& code : found->second) {
      // What cannot be evaluated is gdb's to decide.
      if (evaluate(code, context).value_or(1) != 0) return true;
    }
  }
  return false;
}

// ---- Going on ----

void Stub::say(const std::string& text) {
  if (text_ && !text.empty()) text_(text);
}

u64 Stub::cpu_count() { return debuggee_.travel().position().count.value; }

std::string Stub::step(Direction direction) {
  apply_points();
  say(std::exchange(pending_text_, {}));
  monitor_.leaving();
  return stop_reply(debuggee_.travel().step(direction), direction);
}

std::string Stub::resume(Direction direction) {
  apply_points();
  say(std::exchange(pending_text_, {}));
  monitor_.leaving();
  return stop_reply(debuggee_.travel().resume(direction), direction);
}

// Steps as long as the instruction pointer stays in [from, to).
std::string Stub::step_range(u64 from, u64 to) {
  apply_points();
  say(std::exchange(pending_text_, {}));
  monitor_.leaving();
  bool at_breakpoint = false;
  GuestLinear linear;
  Stop stop = debuggee_.travel().step_while([&] {
    const u64 pc = *registers_.value(debuggee_.cpu(), registers_.pc());
    linear = GuestLinear{debuggee_.linear_pc()};
    const bool planted = breakpoints_[0].contains(linear.value) || breakpoints_[1].contains(linear.value);
    at_breakpoint = pc >= from && pc < to && planted && condition_holds(linear.value);
    return pc >= from && pc < to && !at_breakpoint;
  });
  if (at_breakpoint) {
    stop.why = Stop::Why::breakpoint;
    stop.hit.breakpoint = linear;
  }
  return stop_reply(stop, Direction::forwards);
}

std::string Stub::resume_at(std::string_view address, bool stepping) {
  if (!address.empty()) {
    const auto value = Fields(address).number();
    if (!value) return kMalformed;
    CpuState cpu = debuggee_.cpu();
    if (cpu.rip != *value) {
      cpu.rip = *value;
      set_cpu(cpu);
    }
  }
  return stepping ? step(Direction::forwards) : resume(Direction::forwards);
}

// Actions for threads; there is one, and the first action that names it counts.
std::string Stub::v_cont(std::string_view actions) {
  Fields list(actions);
  while (!list.empty()) {
    Fields action(list.until(';'));
    const std::string_view what = action.until(':');
    if (!action.empty() && !is_our_thread(action.rest())) continue;
    if (what.empty()) continue;
    switch (what[0]) {
      case 'c':
      case 'C':
        return resume(Direction::forwards);
      case 's':
      case 'S':
        return step(Direction::forwards);
      case 'r': {
        Fields range(what.substr(1));
        const auto from = range.number();
        if (!from || !range.skip(',')) return kMalformed;
        const auto to = range.number();
        if (!to) return kMalformed;
        return step_range(*from, *to);
      }
      default:
        return kMalformed;
    }
  }
  return kMalformed;
}

std::string Stub::stop_reply(const Stop& stop, Direction direction) {
  std::string reply = stop.why == Stop::Why::interrupted ? "T02" : "T05";
  const CpuState cpu = debuggee_.cpu();
  for (const unsigned number : {registers_.fp(), registers_.sp(), registers_.pc()}) {
    reply += fmt::format("{:02x}:{};", number, to_hex(*registers_.read(cpu, number)));
  }
  reply += "thread:1;";
  switch (stop.why) {
    case Stop::Why::breakpoint:
      // gdb would ignore a breakpoint that is not at its idea of the program counter, an offset in a segment here.
      if (registers_.value(cpu, registers_.pc()) != stop.hit.breakpoint.value) break;
      reply += breakpoints_[0].contains(stop.hit.breakpoint.value) ? "swbreak:;" : "hwbreak:;";
      break;
    case Stop::Why::watchpoint: {
      const Watchpoint& watch = debuggee_.travel().points().watchpoints[stop.hit.watchpoints.front()];
      const char* name = watch.kind == WatchKind::write ? "watch" : watch.kind == WatchKind::read ? "rwatch" : "awatch";
      reply += fmt::format("{}:{:x};", name, watch.address.value);
      break;
    }
    case Stop::Why::start:
      reply += "replaylog:begin;";
      break;
    case Stop::Why::end:
      say("rondo: " + stop.message + "\n");
      reply += direction == Direction::forwards ? "replaylog:end;" : "";
      break;
    case Stop::Why::arrived:
    case Stop::Why::interrupted:
      break;
  }
  last_stop_ = reply;
  return reply;
}

std::string Stub::select_thread(std::string_view arguments) {
  if (arguments.empty() || (arguments[0] != 'g' && arguments[0] != 'c')) return {};
  return is_our_thread(arguments.substr(1)) ? kOk : kRefused;
}

}  // namespace rondo::gdb
