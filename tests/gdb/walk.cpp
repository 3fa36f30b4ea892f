#include "tests/gdb/walk.h"

#include <fmt/format.h>

#include "harness/guest_memory.h"

namespace rondo::gdb {
namespace {

std::string text(Position p) { return fmt::format("{}+{}", p.count.value, p.deliveries); }

}  // namespace

Walk::Walk(TimeTravel& travel, WalkOptions options) : travel_(travel), options_(options), random_(options.seed) {
  // A search that finds nothing is given up after a while.
  travel_.on_poll([this] { return poll_limit_ == 0 || ++polls_ < poll_limit_; }, 1'000'000);
}

void Walk::expect(bool holds, const std::string& what) {
  if (!holds) wrong_.push_back(what + "; at " + text(travel_.position()) + " after" + trail_);
}

void Walk::visit() {
  const Position here = travel_.position();
  const std::string state = travel_.machine().state_hash();
  const auto [known, fresh] = states_.emplace(here, state);
  expect(known->second == state, "another state than before");
  if (here.deliveries > 0) ++deliveries_;
  const CpuState c = cpu();
  const bool code64 = (c.efer & efer::LMA) && c.segment[CS].l;
  rips_.push_back(code64 ? c.rip : (c.rip + c.segment[CS].base) & 0xffffffff);
  for (const u64 address : {c.gpr[RSP], c.gpr[RSP] - 8, c.gpr[RDI], c.gpr[RBP], c.gpr[RBX]})
    addresses_.push_back(address);
}

// On to the next interrupt or fault: where its handler begins, nothing has retired since the delivery.
void Walk::to_a_handler() {
  const CpuState c = cpu();
  if (!(c.efer & efer::LMA)) return;
  DebugPoints points;
  for (u64 vector = 0; vector < 256 && vector * 16 + 15 <= c.idtr.limit; ++vector) {
    u8 gate[16] = {};
    if (read_linear(c, travel_.machine().memory(), GuestLinear{c.idtr.base + vector * 16}, gate) != 16) continue;
    u64 target = 0;
    for (const unsigned at : {11u, 10u, 9u, 8u, 7u, 6u, 1u, 0u}) target = target << 8 | gate[at];
    if (gate[5] & 0x80) points.breakpoints.emplace_back(target);
  }
  travel_.set_points(points);
  polls_ = 0;
  poll_limit_ = 60;
  travel_.resume(Direction::forwards);
  poll_limit_ = 0;
  travel_.set_points({});
}

void Walk::choose_points() {
  DebugPoints points;
  const auto recent = [&](const std::vector<u64>& list) {
    return list[list.size() - 1 - draw(std::min<u64>(list.size(), 40))];
  };
  if (draw(2)) points.breakpoints.emplace_back(recent(rips_));
  if (draw(2)) points.breakpoints.emplace_back(recent(rips_) + draw(8));
  if (draw(2) || points.breakpoints.empty()) {
    const auto kind = static_cast<WatchKind>(1 + draw(3));
    points.watchpoints.push_back({GuestLinear{recent(addresses_)}, u64{1} << draw(10), kind});
  }
  travel_.set_points(points);
}

void Walk::search(Direction direction) {
  const Position from = travel_.position();
  polls_ = 0;
  poll_limit_ = 60;
  const Stop stop = travel_.resume(direction);
  poll_limit_ = 0;
  const Position at = travel_.position();
  if (stop.why == Stop::Why::interrupted) {
    if (direction == Direction::backwards) expect(at == from, "an interrupted search has moved");
    return;
  }
  const bool hit = stop.why == Stop::Why::breakpoint || stop.why == Stop::Why::watchpoint;
  if (!hit) return;
  ++hits_;
  visit();
  // The other way: from a hit forwards comes either the place where the search began, or a later hit.
  if (direction == Direction::backwards) {
    expect(at < from, "going back went forwards");
    Stop on = travel_.resume_to(from);
    if (stop.why == Stop::Why::watchpoint) {
      expect(on.why == Stop::Why::watchpoint, "the access is not there on the way forwards");
      visit();
      if (travel_.position() < from) on = travel_.resume_to(from);
    }
    const bool late = on.why == Stop::Why::watchpoint && travel_.position() == from;
    expect((on.why == Stop::Why::arrived || late) && travel_.position() == from,
           "there is a later hit, forwards at " + text(travel_.position()) + " from " + text(at));
    travel_.go_to(at);
    visit();
  } else {
    expect(at > from, "going forwards went back");
    const Position begin = from;
    const Stop back = travel_.resume(Direction::backwards);
    // Back from a breakpoint is a hit before it, which must not lie between; from a watchpoint it is its own access.
    if (stop.why == Stop::Why::watchpoint) {
      expect(back.why == Stop::Why::watchpoint && travel_.position() >= begin,
             "the access is not there on the way back");
    } else {
      expect(travel_.position() <= begin, "the way back has a hit that the way forwards had not");
    }
    visit();
    travel_.go_to(at);
    visit();
  }
}

void Walk::move() {
  const u64 which = draw(10);
  trail_ += fmt::format(" {}", which);
  switch (which) {
    case 0:
    case 1:
    case 2:
      travel_.step(Direction::forwards);
      break;
    case 3:
    case 4:
    case 5:
      travel_.step(Direction::backwards);
      break;
    case 6: {
      const u64 here = travel_.position().count.value;
      const u64 distance = draw(options_.reach);
      travel_.go_to(InstrCount{draw(2) ? here + distance : here - std::min(here, distance)});
      break;
    }
    case 7:
      choose_points();
      search(Direction::forwards);
      break;
    case 8:
      choose_points();
      search(Direction::backwards);
      break;
    default: {
      // There and back, by single steps.
      const Position here = travel_.position();
      const u64 n = 1 + draw(12);
      u64 done = 0;
      for (; done < n && travel_.step(Direction::forwards).why == Stop::Why::arrived; ++done) visit();
      for (; done > 0; --done) {
        travel_.step(Direction::backwards);
        visit();
      }
      if (travel_.points().watchpoints.empty())
        expect(travel_.position() == here, "steps there and back end elsewhere");
      break;
    }
  }
  visit();
}

std::vector<std::string> Walk::run() {
  for (unsigned m = 0; m < options_.moments && wrong_.size() < 10; ++m) {
    const u64 start = travel_.start().count.value;
    const u64 moment = start + draw(options_.last_count - start + 1);
    trail_ = fmt::format(" seek {}", moment);
    travel_.set_points({});
    travel_.go_to(InstrCount{moment});
    if (m % 2) to_a_handler();
    visit();
    for (unsigned i = 0; i < options_.moves && wrong_.size() < 10; ++i) move();
  }
  return wrong_;
}

std::map<u64, std::string> Walk::plain_states() const {
  std::map<u64, std::string> out;
  for (const auto& [position, state] : states_) {
    if (position.deliveries == 0) out.emplace(position.count.value, state);
  }
  return out;
}

}  // namespace rondo::gdb
