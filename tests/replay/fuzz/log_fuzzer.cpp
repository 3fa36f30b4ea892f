// libFuzzer: events.log as a whole, read from its start and from within. Two ways of reading it must agree.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "replay/format/recording_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rondo::replay;
  static const std::vector<rondo::u8> manifest = [] {
    Manifest m;
    m.recording_id = "fuzz";
    m.component_names = {"vcpu0", "clock", "memory"};
    return encode_manifest(m);
  }();
  FileDescriptor log(::memfd_create("log", MFD_CLOEXEC));
  if (!log || !write_all(log.get(), {data, size})) std::abort();
  auto reader = RecordingReader::from_parts("input", manifest, std::move(log));
  if (!reader) return 0;
  std::vector<Event> events;
  while (const Event* event = reader->next()) events.push_back(*event);
  if (reader->validity().events != events.size()) std::abort();
  for (const Event& event : events) {
    reader->seek_event(event.number);
    const Event* found = reader->next();
    if (!found || *found != event) std::abort();
    if (events.size() > 100) break;
  }
  if (reader->check().events != events.size()) std::abort();
  return 0;
}
