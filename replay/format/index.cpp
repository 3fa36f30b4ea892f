#include "replay/format/index.h"

#include "replay/format/envelope.h"
#include "replay/format/recording_generated.h"
#include "replay/format/verified.h"

namespace rondo::replay {
namespace {

constexpr char kMagic[] = "RONDOIDX";

// Chunks follow each other, events and counts do not go back.
bool consistent(const Index& index) {
  u64 offset = kLogHeaderBytes, event = 0, count = 0;
  for (const ChunkPosition& chunk : index.chunks) {
    const bool first = &chunk == &index.chunks.front();
    if (first ? chunk.offset != offset || chunk.first_event != 0
              : chunk.offset < offset + kChunkHeaderBytes || chunk.first_event <= event) {
      return false;
    }
    if (chunk.first_count.value < count) return false;
    offset = chunk.offset;
    event = chunk.first_event;
    count = chunk.first_count.value;
  }
  if (index.chunks.empty()) return index.end_offset == kLogHeaderBytes && index.events == 0;
  return index.end_offset > offset && index.events > event;
}

}  // namespace

void Index::add(const ChunkHeader& header) {
  chunks.push_back({header.first_event, header.first_count, header.first_time, end_offset});
  end_offset += header.total_bytes();
  events = header.first_event + header.events;
}

std::vector<u8> encode_index(const Index& index, u64 recording) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<fb::ChunkPosition> chunks;
  for (const ChunkPosition& c : index.chunks) {
    chunks.emplace_back(c.first_event, c.first_count.value, c.first_time.value, c.offset);
  }
  const auto chunk_vector = builder.CreateVectorOfStructs(chunks);
  builder.Finish(fb::CreateIndex(builder, recording, chunk_vector, index.end_offset, index.events));
  return wrap(kMagic, {builder.GetBufferPointer(), builder.GetSize()});
}

std::optional<Index> decode_index(std::span<const u8> file, u64 recording) {
  const auto unwrapped = unwrap(kMagic, file, "index", kIndexName);
  if (!unwrapped) return std::nullopt;
  const std::vector<u8> payload(unwrapped->payload.begin(), unwrapped->payload.end());  // aligned
  flatbuffers::Verifier verifier(payload.data(), payload.size());
  if (!verifier.VerifyBuffer<fb::Index>(nullptr)) return std::nullopt;
  const fb::Index& in = *flatbuffers::GetRoot<fb::Index>(payload.data());
  if (in.recording() != recording || !is_aligned(in.chunks())) return std::nullopt;
  Index index;
  if (in.chunks()) {
    for (const auto* c : *in.chunks()) {
      index.chunks.push_back({c->first_event(), InstrCount{c->first_count()}, VirtualNs{c->first_time()}, c->offset()});
    }
  }
  index.end_offset = in.end_offset();
  index.events = in.events();
  return consistent(index) ? std::optional(std::move(index)) : std::nullopt;
}

}  // namespace rondo::replay
