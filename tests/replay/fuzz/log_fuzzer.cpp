// libFuzzer: events.log as a whole, read from its start and from within; two ways of reading it must agree. If the
// first byte is odd, all digests are made right first.
#include <sys/mman.h>

#include <cstdlib>
#include <vector>

#include "replay/format/digest.h"
#include "replay/format/log_layout.h"
#include "replay/format/recording_reader.h"
#include "tests/replay/fuzz/little_endian.h"

namespace {

using namespace rondo;
using namespace rondo::replay;

constexpr char kId[] = "0123456789abcdef";

void repair(std::vector<u8>& log) {
  if (log.size() < kLogHeaderBytes) return;
  const u64 recording = recording_digest(kId);
  store(log, kLogHeaderBytes - 16, recording, 8);
  store(log, kLogHeaderBytes - 8, digest64(std::span(log).first(kLogHeaderBytes - 8)), 8);
  for (u64 at = kLogHeaderBytes; at + kChunkHeaderBytes <= log.size();) {
    const u64 payload = load(log, at + 8, 4);
    if (payload > log.size() - at - kChunkHeaderBytes) return;
    store(log, at + kChunkHeaderBytes - 16,
          digest64(std::span(log).subspan(at + kChunkHeaderBytes, payload), recording), 8);
    store(log, at + kChunkHeaderBytes - 8, digest64(std::span(log).subspan(at, kChunkHeaderBytes - 8), recording), 8);
    at += kChunkHeaderBytes + payload;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::vector<u8> manifest = [] {
    Manifest m;
    m.recording_id = kId;
    m.component_names = {"vcpu0", "clock", "memory"};
    return encode_manifest(m);
  }();
  std::vector<u8> bytes(data + 1, data + size);
  if (data[0] & 1) repair(bytes);
  FileDescriptor log(::memfd_create("log", MFD_CLOEXEC));
  if (!log || !write_all(log.get(), bytes)) std::abort();
  auto reader = RecordingReader::from_parts("input", manifest, std::move(log));
  if (!reader) return 0;
  std::vector<Event> events;
  while (const Event* event = reader->next()) events.push_back(*event);
  if (reader->validity().events != events.size()) std::abort();
  for (u64 number = 0; number < events.size(); number += 1 + events.size() / 20) {
    reader->seek_event(number);
    const Event* found = reader->next();
    if (!found || *found != events[number]) std::abort();
    reader->seek_count(events[number].moment.count);
    found = reader->next();
    if (!found || found->number > number) std::abort();
  }
  if (reader->check().events != events.size()) std::abort();
  return 0;
}
