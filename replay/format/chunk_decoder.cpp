#include <zstd.h>

#include <algorithm>
#include <limits>

#include "replay/format/chunk.h"
#include "replay/format/chunk_limits.h"
#include "replay/format/moment_codec.h"
#include "replay/format/recording_generated.h"
#include "replay/format/verified.h"

namespace rondo::replay {
namespace {

Hash128 from_fb(const fb::Hash* hash) { return hash ? Hash128{hash->high(), hash->low()} : Hash128{}; }

template <class T>
std::vector<T> copy(const flatbuffers::Vector<T>* bytes) {
  return bytes ? std::vector<T>(bytes->begin(), bytes->end()) : std::vector<T>();
}

// One zstd frame that fills `payload` and unpacks to exactly raw_bytes bytes; empty if it is not that.
std::vector<u8> decompress(std::span<const u8> payload, u64 raw_bytes) {
  if (ZSTD_findFrameCompressedSize(payload.data(), payload.size()) != payload.size() ||
      ZSTD_getFrameContentSize(payload.data(), payload.size()) != raw_bytes) {
    return {};
  }
  std::vector<u8> raw(raw_bytes);
  if (ZSTD_decompress(raw.data(), raw.size(), payload.data(), payload.size()) != raw_bytes) return {};
  return raw;
}

}  // namespace

struct ChunkDecoder::Impl {
  std::vector<u8> raw;
  const fb::Chunk* chunk = nullptr;  // in raw
  u64 first_number = 0, end_number = 0;
  const std::vector<std::string>* manifest_names = nullptr;

  // Where next() stands.
  MomentUnpacker moments{{}};
  u64 next = 0;    // number of the event
  u64 record = 0;  // its body, if it has one
  Event event;
  StateHash hash;                  // the last one of this chunk
  std::vector<u32> place_of_name;  // name number -> place in hash.components, or kNowhere
  bool any_hash = false;
  static constexpr u32 kNowhere = std::numeric_limits<u32>::max();

  u64 names() const { return manifest_names->size() + (chunk->names() ? chunk->names()->size() : 0); }
  std::string name(u64 number) const {
    if (number < manifest_names->size()) return (*manifest_names)[number];
    return chunk->names()->Get(static_cast<flatbuffers::uoffset_t>(number - manifest_names->size()))->str();
  }
  u64 records() const { return chunk->records() ? chunk->records()->size() : 0; }

  void rewind() {
    const auto* bytes = chunk->moments();
    moments = MomentUnpacker(bytes ? std::span<const u8>(bytes->data(), bytes->size()) : std::span<const u8>());
    next = first_number;
    record = 0;
    event = {};
    any_hash = false;
    hash = {};
    place_of_name.assign(names(), kNowhere);
  }

  bool check(const ChunkHeader& header);
  bool take_hash(const fb::StateHash& in);
  std::optional<EventBody> body(const fb::Record& in);
  bool advance();
};

// The components as they are after this StateHash, in `hash`.
bool ChunkDecoder::Impl::take_hash(const fb::StateHash& in) {
  const u64 count = in.components() ? in.components()->size() : 0;
  if (count != (in.hashes() ? in.hashes()->size() : 0) || !is_aligned(in.hashes())) return false;
  if (in.complete()) {
    if (count > kMaxHashedComponents) return false;
    hash.components.clear();
    std::fill(place_of_name.begin(), place_of_name.end(), kNowhere);
  } else if (!any_hash) {
    return false;
  }
  for (u32 i = 0; i < count; ++i) {
    const u64 number = in.components()->Get(i);
    if (number >= place_of_name.size()) return false;
    u32& place = place_of_name[number];
    if (in.complete()) {
      if (place != kNowhere) return false;  // named twice
      place = i;
      hash.components.push_back({name(number), {}});
    }
    if (place == kNowhere) return false;
    hash.components[place].hash = from_fb(in.hashes()->Get(i));
  }
  hash.total = from_fb(in.total());
  hash.console.reset();
  if (const auto* console = in.console()) hash.console = ConsoleOutput{console->bytes(), from_fb(&console->hash())};
  any_hash = true;
  return true;
}

std::optional<EventBody> ChunkDecoder::Impl::body(const fb::Record& in) {
  const fb::Body kind = in.body_type();
  if (kind > fb::Body::MAX) return Unknown{static_cast<u8>(kind)};
  if (kind == fb::Body::NONE || !in.body()) return std::nullopt;
  switch (kind) {
    case fb::Body::ConsoleInput: {
      const auto& b = *in.body_as_ConsoleInput();
      return ConsoleInput{b.port(), copy(b.bytes())};
    }
    case fb::Body::ConsoleBreak:
      return ConsoleBreak{in.body_as_ConsoleBreak()->port()};
    case fb::Body::IdleWake:
      return IdleWake{VirtualNs{in.body_as_IdleWake()->woke_at()}};
    case fb::Body::PowerButton:
      return PowerButton{};
    case fb::Body::ResetButton:
      return ResetButton{};
    case fb::Body::HostTime: {
      const auto& b = *in.body_as_HostTime();
      return HostTime{static_cast<HostTimePurpose>(b.purpose()), b.seconds(), b.nanoseconds()};
    }
    case fb::Body::SeedMaterial:
      return SeedMaterial{copy(in.body_as_SeedMaterial()->bytes())};
    case fb::Body::AsynchronousInterrupt:
      return AsynchronousInterrupt{in.body_as_AsynchronousInterrupt()->vector()};
    case fb::Body::StateHash:
      if (!take_hash(*in.body_as_StateHash())) return std::nullopt;
      return hash;
    case fb::Body::CheckpointTaken:
      return CheckpointTaken{in.body_as_CheckpointTaken()->number()};
    case fb::Body::End: {
      const auto& b = *in.body_as_End();
      End end;
      if (b.reason()) end.reason = b.reason()->str();
      if (b.has_debug_exit_code()) end.debug_exit_code = b.debug_exit_code();
      end.instructions = InstrCount{b.instructions()};
      end.virtual_ns = VirtualNs{b.virtual_ns()};
      end.state_hash = from_fb(b.state_hash());
      end.console_bytes = b.console_bytes();
      end.console_hash = from_fb(b.console_hash());
      return end;
    }
    case fb::Body::Remark: {
      const auto* text = in.body_as_Remark()->text();
      return Remark{text ? text->str() : std::string()};
    }
    case fb::Body::NONE:
      break;
  }
  return std::nullopt;
}

bool ChunkDecoder::Impl::advance() {
  auto entry = moments.next();
  if (!entry) return false;
  event.moment = entry->moment;
  if (entry->sampled) {
    event.body = SampledTime{*entry->sampled};
    return true;
  }
  if (record >= records()) return false;
  auto decoded = body(*chunk->records()->Get(static_cast<flatbuffers::uoffset_t>(record++)));
  if (!decoded) return false;
  event.body = std::move(*decoded);
  return true;
}

// Everything that next() relies on. Elements of a crafted buffer may share their bytes: what all of them together hold
// is bounded by the buffer's size, so that decoding it costs no more than an honest one.
bool ChunkDecoder::Impl::check(const ChunkHeader& header) {
  if (names() > std::numeric_limits<u16>::max()) return false;
  u64 bytes = 0;
  if (chunk->names()) {
    for (const auto* name : *chunk->names()) {
      if (name->size() > kMaxNameBytes) return false;
      bytes += name->size();
    }
  }
  for (u64 i = 0; i < records(); ++i) {
    const auto& in = *chunk->records()->Get(static_cast<flatbuffers::uoffset_t>(i));
    bytes += sizeof(u32);
    if (const auto* b = in.body_as_ConsoleInput(); b && b->bytes()) bytes += b->bytes()->size();
    if (const auto* b = in.body_as_SeedMaterial(); b && b->bytes()) bytes += b->bytes()->size();
    if (const auto* b = in.body_as_StateHash(); b && b->hashes()) bytes += b->hashes()->size() * sizeof(fb::Hash);
    if (const auto* b = in.body_as_End(); b && b->reason()) {
      if (b->reason()->size() > kMaxReasonBytes) return false;
      bytes += b->reason()->size();
    }
    if (const auto* b = in.body_as_Remark(); b && b->text()) {
      if (b->text()->size() > kMaxRemarkBytes) return false;
      bytes += b->text()->size();
    }
    if (bytes > raw.size()) return false;
  }
  rewind();
  for (u64 i = 0; i < header.events; ++i) {
    if (!advance()) return false;
    const Moment& moment = event.moment;
    if (i == 0 && (moment.count != header.first_count || moment.time != header.first_time)) return false;
    const bool last = i + 1 == header.events;
    if (std::holds_alternative<End>(event.body) != (last && header.ends_recording)) return false;
  }
  if (!moments.at_end() || record != records()) return false;
  rewind();
  return true;
}

std::optional<ChunkDecoder> ChunkDecoder::open(const ChunkHeader& header, std::span<const u8> payload,
                                               const std::vector<std::string>& component_names) {
  auto impl = std::make_unique<Impl>();
  impl->raw = decompress(payload, header.raw_bytes);
  if (impl->raw.empty()) return std::nullopt;
  flatbuffers::Verifier verifier(impl->raw.data(), impl->raw.size());
  if (!verifier.VerifyBuffer<fb::Chunk>(nullptr)) return std::nullopt;
  impl->chunk = flatbuffers::GetRoot<fb::Chunk>(impl->raw.data());
  impl->first_number = header.first_event;
  impl->end_number = header.first_event + header.events;
  impl->manifest_names = &component_names;
  if (!impl->check(header)) return std::nullopt;
  return ChunkDecoder(std::move(impl));
}

ChunkDecoder::ChunkDecoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChunkDecoder::ChunkDecoder(ChunkDecoder&&) noexcept = default;
ChunkDecoder& ChunkDecoder::operator=(ChunkDecoder&&) noexcept = default;
ChunkDecoder::~ChunkDecoder() = default;

u64 ChunkDecoder::next_number() const { return impl_->next; }
u64 ChunkDecoder::end_number() const { return impl_->end_number; }

const Event& ChunkDecoder::next() {
  Impl& i = *impl_;
  RONDO_ASSERT(i.next < i.end_number);
  const bool advanced = i.advance();
  RONDO_ASSERT(advanced);  // check() has seen it
  i.event.number = i.next++;
  return i.event;
}

}  // namespace rondo::replay
