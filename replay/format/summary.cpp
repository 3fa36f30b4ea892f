#include "replay/format/summary.h"

namespace rondo::replay {

RecordingSummary summarize(RecordingReader& reader) {
  RecordingSummary summary;
  reader.check();
  reader.seek_event(0);
  while (const Event* event = reader.next()) {
    ++summary.events_by_kind[kind_name(event->body)];
    if (const auto* input = std::get_if<ConsoleInput>(&event->body)) summary.input_bytes += input->bytes.size();
    if (std::holds_alternative<Unknown>(event->body)) ++summary.unknown_events;
    if (std::holds_alternative<StateHash>(event->body)) summary.last_state_hash = *event;
    if (std::holds_alternative<CheckpointTaken>(event->body)) summary.checkpoints.push_back(*event);
    if (std::holds_alternative<Remark>(event->body)) summary.remarks.push_back(*event);
    if (const auto* end = std::get_if<End>(&event->body)) summary.end = *end;
    summary.last_event = *event;
  }
  summary.validity = reader.validity();
  return summary;
}

}  // namespace rondo::replay
