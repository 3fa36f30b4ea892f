#include "harness/recordings/diff_details.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/registers.h"
#include "harness/trace.h"

namespace rondo::recordings {
namespace {

constexpr u64 kPagesTold = 16;
constexpr unsigned kLongestWay = 1000;  // steps that retire nothing, before one that does

void compare_registers(const CpuState* before, const CpuState& a, const CpuState& b, Difference& difference) {
  const std::vector<RegisterValue> of_a = register_values(a), of_b = register_values(b);
  const std::vector<RegisterValue> common = before ? register_values(*before) : std::vector<RegisterValue>{};
  for (u64 i = 0; i < of_a.size(); ++i) {
    if (of_a[i] == of_b[i]) continue;
    difference.registers.push_back({std::string(of_a[i].name), before ? format_value(common[i]) : "",
                                    format_value(of_a[i]), format_value(of_b[i])});
  }
}

u8 byte_of(const Page* page, u64 offset) { return page ? page->bytes()[offset] : 0; }

void compare_memory(DiffSide& a, DiffSide& b, const PageMap* before, Difference& difference) {
  const PageMap of_a = a.machine().memory().capture(), of_b = b.machine().memory().capture();
  of_b.for_each_difference(of_a, [&](u64 index, const Page* in_a, const Page* in_b) {
    PageDifference page;
    for (u64 i = 0; i < kPageSize; ++i) {
      if (byte_of(in_a, i) == byte_of(in_b, i)) continue;
      if (page.bytes++ != 0) continue;
      PhysicalMemory& memory = a.machine().memory();
      if (index < memory.page_count()) page.first = memory.address_of(memory.page_host(index)) + i;
      page.a = byte_of(in_a, i);
      page.b = byte_of(in_b, i);
      page.before = before ? byte_of(before->get(index), i) : 0;
    }
    if (page.bytes == 0) return;
    if (difference.page_count++ < kPagesTold) difference.pages.push_back(page);
  });
}

// Goes on by single steps to where the next instruction has retired, and says what happened on the way there.
void walk(DiffSide& side, Difference& difference) {
  decoder::Decoder decoder;
  Machine& machine = side.machine();
  const InstrCount next = machine.clock().count() + 1;
  RunLimits one_step;
  one_step.instructions = next;
  one_step.single_step = true;
  one_step.steps = 1;
  for (unsigned i = 0; i < kLongestWay && machine.clock().count() < next; ++i) {
    const VirtualNs now = machine.clock().now();
    const CpuState before = machine.engine().state();
    difference.rip = before.rip;
    difference.text = instruction_text(decoder, before, machine.memory());
    const RunResult result = machine.run(one_step, &side.player());
    const CpuState after = machine.engine().state();
    const bool retired = machine.clock().count() == next;
    const u64 idle = machine.clock().now() - now - (retired ? kNsPerInstruction : 0);
    if (idle != 0) difference.way.push_back(fmt::format("idle for {} ns", idle));
    if (!retired && after.rip != before.rip)
      difference.way.push_back(
          fmt::format("interrupt or exception at RIP 0x{:x}, on to 0x{:x}", before.rip, after.rip));
    if (result.reason != ExitReason::instruction_limit) return;
  }
}

}  // namespace

std::vector<replay::Event> last_events(const std::string& recording, u64 end, u64 most) {
  std::vector<replay::Event> events;
  Result<replay::RecordingReader> reader = replay::RecordingReader::open(recording);
  if (!reader) return events;
  while (const replay::Event* event = reader->next()) {
    if (event->number >= end) break;
    if (std::holds_alternative<replay::StateHash>(event->body) ||
        std::holds_alternative<replay::CheckpointTaken>(event->body) ||
        std::holds_alternative<replay::Remark>(event->body))
      continue;
    if (events.size() == most) events.erase(events.begin());
    events.push_back(*event);
  }
  return events;
}

void compare_states(DiffSide& a, DiffSide& b, const DiffSide::Mark* before, Difference& difference) {
  const replay::SideState of_a = a.state(), of_b = b.state();
  difference.a = of_a.time;
  difference.b = of_b.time;
  difference.ended_a = of_a.ended;
  difference.ended_b = of_b.ended;
  for (const replay::ComponentHash& component : of_a.hash.components) {
    const auto& others = of_b.hash.components;
    if (std::find(others.begin(), others.end(), component) == others.end())
      difference.components.push_back(component.name);
  }
  std::optional<CpuState> common;
  if (before) {
    StateReader reader(before->snapshot.state);
    common.emplace();
    common->load(reader, 0);
  }
  compare_registers(common ? &*common : nullptr, a.machine().engine().state(), b.machine().engine().state(),
                    difference);
  compare_memory(a, b, before ? &before->snapshot.memory : nullptr, difference);
}

Result<Difference> examine(DiffSide& a, DiffSide& b, const replay::Bracket& bracket) {
  Difference difference;
  difference.side_a = a.name();
  difference.side_b = b.name();
  difference.bracket = bracket;
  const DiffSide::Mark before = a.mark();
  difference.before = before.snapshot.time;
  difference.cause = bracket.first_different.entered ? Difference::Cause::entered : Difference::Cause::instruction;
  // The steps of the reference drive tell what ran; what each side makes of it is looked at afterwards.
  walk(a, difference);
  if (bracket.first_different.entered) difference.way.clear();
  if (Status back = a.go_back(); !back) return back.error();
  if (Status gone = a.go_to(bracket.first_different); !gone) return gone.error();
  if (Status gone = b.go_to(bracket.first_different); !gone) return gone.error();
  compare_states(a, b, &before, difference);
  if (difference.components.empty()) difference.cause = Difference::Cause::end;
  difference.events = last_events(a.playback().reader().directory(),
                                  std::max(a.player().next_event(), b.player().next_event()), kEventsTold);
  return difference;
}

}  // namespace rondo::recordings
