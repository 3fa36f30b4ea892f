// libFuzzer: one chunk. The first byte says how many events its header announces; the rest is what the payload unpacks
// to, or with a first byte of 0 the whole chunk as it is. Events that decode must survive being written and read again.
#include <zstd.h>

#include <cstdlib>
#include <vector>

#include "replay/format/chunk.h"

namespace {

using namespace rondo;
using namespace rondo::replay;

const std::vector<std::string> kNames = {"vcpu0", "clock", "memory"};

std::vector<Event> read_all(ChunkDecoder& decoder) {
  std::vector<Event> events;
  while (decoder.next_number() < decoder.end_number()) {
    events.push_back(decoder.next());
    if (describe(events.back().body).empty()) std::abort();
  }
  return events;
}

void read_forged(std::span<const u8> raw, u32 count) {
  std::vector<u8> payload(ZSTD_compressBound(raw.size()));
  payload.resize(ZSTD_compress(payload.data(), payload.size(), raw.data(), raw.size(), 1));
  ChunkHeader header;
  header.payload_bytes = static_cast<u32>(payload.size());
  header.raw_bytes = static_cast<u32>(raw.size());
  header.events = count;
  const auto decoder = ChunkDecoder::open(header, payload, kNames);
  if (!decoder) {
    // The chunk may be good but for the first Moment, which a header repeats: try the flag too.
    header.ends_recording = true;
    static_cast<void>(ChunkDecoder::open(header, payload, kNames));
    return;
  }
  auto copy = ChunkDecoder::open(header, payload, kNames);
  const std::vector<Event> events = read_all(*copy);
  ChunkBuilder builder(kNames, 0);
  for (const Event& event : events) {
    if (!builder.add(event.moment, event.body)) return;  // an unknown kind
  }
  const std::vector<u8> chunk = builder.finish(0);
  const auto built = decode_chunk_header(chunk, 0);
  if (!built) std::abort();
  auto again = ChunkDecoder::open(*built, std::span(chunk).subspan(kChunkHeaderBytes), kNames);
  if (!again || read_all(*again) != events) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const u8> rest(data + 1, size - 1);
  if (data[0] != 0) {
    read_forged(rest, data[0]);
    return 0;
  }
  if (const auto header = decode_chunk_header(rest, 0); header && rest.size() == header->total_bytes()) {
    auto decoder = ChunkDecoder::open(*header, rest.subspan(kChunkHeaderBytes), kNames);
    if (decoder) read_all(*decoder);
  }
  return 0;
}
