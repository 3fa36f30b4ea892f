#include "harness/recordings/diff_logs.h"

#include <algorithm>

#include "replay/moments.h"

namespace rondo::recordings {
namespace {

using replay::Event;
using replay::RecordingReader;

// How far a recording tells of its run, and how it says that it ended, if it ended by itself.
struct Extent {
  InstrCount reach;
  std::optional<replay::End> end;      // of a complete recording
  std::optional<replay::End> own_end;  // ... whose machine found it by itself
};

Extent extent_of(RecordingReader& reader) {
  Extent extent;
  const u64 events = reader.check().events;
  if (events == 0) return extent;
  reader.seek_event(events - 1);
  if (const Event* last = reader.next()) {
    extent.reach = last->moment.count;
    if (const auto* end = std::get_if<replay::End>(&last->body)) {
      extent.end = *end;
      if (replay::is_own_end(end->reason)) extent.own_end = *end;
    }
  }
  reader.seek_event(0);
  return extent;
}

// The next event of one sort.
template <class Wanted>
std::optional<Event> next_of(RecordingReader& reader, Wanted wanted) {
  while (const Event* event = reader.next()) {
    if (wanted(*event)) return *event;
  }
  return std::nullopt;
}

bool enters(const Event& event) {
  return replay::to_input(event.body) || std::holds_alternative<replay::SampledTime>(event.body) ||
         std::holds_alternative<replay::AsynchronousInterrupt>(event.body);
}
bool is_hash(const Event& event) { return std::holds_alternative<replay::StateHash>(event.body); }

// The earliest difference wins.
class Comparison {
 public:
  LogComparison result;

  void differs(InstrCount by, std::string what) {
    if (result.differ && *result.differ <= by) return;
    result.differ = by;
    result.what = std::move(what);
  }

  void inputs(RecordingReader& a, RecordingReader& b) {
    while (true) {
      const std::optional<Event> of_a = next_of(a, enters), of_b = next_of(b, enters);
      if (!of_a && !of_b) return;
      if (of_a && of_b && of_a->moment == of_b->moment && of_a->body == of_b->body) {
        ++result.inputs;
        continue;
      }
      const bool a_first = of_a && (!of_b || of_a->moment.count <= of_b->moment.count);
      const Event& first = a_first ? *of_a : *of_b;
      if (first.moment.count <= result.reach) {
        differs(first.moment.count + 1, "event " + std::to_string(first.number) + " of " +
                                            (a_first ? "the first" : "the second") + " recording (" +
                                            describe(first.body) + ") is not in the other");
      }
      return;
    }
  }

  void hashes(RecordingReader& a, RecordingReader& b) {
    std::optional<Event> of_a = next_of(a, is_hash), of_b = next_of(b, is_hash);
    while (of_a && of_b) {
      if (of_a->moment.count < of_b->moment.count) {
        of_a = next_of(a, is_hash);
      } else if (of_b->moment.count < of_a->moment.count) {
        of_b = next_of(b, is_hash);
      } else {
        const InstrCount count = of_a->moment.count;
        if (of_a->moment != of_b->moment ||
            !std::get<replay::StateHash>(of_a->body).same_state(std::get<replay::StateHash>(of_b->body))) {
          differs(count, "the state hashes at instruction " + std::to_string(count.value) + " differ");
          return;
        }
        if (result.differ && count >= *result.differ) return;
        ++result.hashes;
        result.last_equal = count;
        of_a = next_of(a, is_hash);
        of_b = next_of(b, is_hash);
      }
    }
  }

  void ends(const Extent& a, const Extent& b) {
    if (a.end && b.end && *a.end == *b.end) {
      result.ends_agree = !result.differ;
      return;
    }
    const bool same_place = a.end && b.end && a.end->instructions == b.end->instructions;
    if (same_place && a.end->reason == b.end->reason) {
      differs(a.end->instructions, "their final states differ");
    } else if (a.own_end && a.reach <= b.reach) {
      differs(a.reach + 1, "the first recording ends with " + a.own_end->reason + " at instruction " +
                               std::to_string(a.reach.value));
    } else if (b.own_end && b.reach <= a.reach) {
      differs(b.reach + 1, "the second recording ends with " + b.own_end->reason + " at instruction " +
                               std::to_string(b.reach.value));
    }
  }
};

}  // namespace

std::vector<ConfigurationDifference> compare_machines(const replay::MachineConfiguration& a,
                                                      const replay::MachineConfiguration& b) {
  std::vector<ConfigurationDifference> differences;
  const auto text = [&](const std::string& name, const std::string& of_a, const std::string& of_b) {
    if (of_a != of_b) differences.push_back({name, of_a, of_b});
  };
  const auto number = [&](const std::string& name, auto of_a, auto of_b) {
    text(name, std::to_string(of_a), std::to_string(of_b));
  };
  number("memory", a.memory_bytes, b.memory_bytes);
  number("cpus", a.cpus, b.cpus);
  text("engine", a.engine, b.engine);
  number("seed", a.seed, b.seed);
  number("rtc-start", a.rtc_start, b.rtc_start);
  text("command line", a.command_line, b.command_line);
  number("ns per instruction", a.ns_per_instruction, b.ns_per_instruction);
  number("sampled time", a.sampled_time, b.sampled_time);
  text("CPU model", a.cpu_model, b.cpu_model);
  if (a.cpuid != b.cpuid) differences.push_back({"CPUID", "its own", "its own"});
  const auto image = [](const replay::MachineConfiguration& m, const std::string& role) {
    for (const replay::Image& i : m.images) {
      if (i.role == role) return i;
    }
    return replay::Image{};
  };
  std::vector<std::string> roles;
  for (const auto* m : {&a, &b}) {
    for (const replay::Image& i : m->images) {
      if (std::find(roles.begin(), roles.end(), i.role) == roles.end()) roles.push_back(i.role);
    }
  }
  for (const std::string& role : roles) {
    const replay::Image of_a = image(a, role), of_b = image(b, role);
    const auto name = [](const replay::Image& i) { return i.blob.empty() ? "none" : i.name + " (" + i.blob + ")"; };
    if (of_a.blob != of_b.blob) differences.push_back({role, name(of_a), name(of_b)});
  }
  return differences;
}

Result<LogComparison> compare_logs(const std::string& a, const std::string& b) {
  Result<RecordingReader> reader_a = RecordingReader::open(a);
  if (!reader_a) return reader_a.error();
  Result<RecordingReader> reader_b = RecordingReader::open(b);
  if (!reader_b) return reader_b.error();
  Comparison comparison;
  const Extent extent_a = extent_of(*reader_a), extent_b = extent_of(*reader_b);
  comparison.result.reach = std::min(extent_a.reach, extent_b.reach);
  comparison.inputs(*reader_a, *reader_b);
  reader_a->seek_event(0);
  reader_b->seek_event(0);
  comparison.hashes(*reader_a, *reader_b);
  comparison.ends(extent_a, extent_b);
  return comparison.result;
}

}  // namespace rondo::recordings
