#include <zstd.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "replay/format/chunk.h"
#include "replay/format/chunk_limits.h"
#include "replay/format/digest.h"
#include "replay/format/moment_codec.h"
#include "replay/format/recording_generated.h"

namespace rondo::replay {
namespace {

// Fast, and the events are few: what grows with the run is hashes, which nothing compresses.
constexpr int kCompressionLevel = 3;

fb::Hash to_fb(const Hash128& hash) { return fb::Hash(hash.high, hash.low); }

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// The name of a limit that the body exceeds, or empty.
std::string exceeded_limit(const EventBody& body) {
  if (const auto* input = std::get_if<ConsoleInput>(&body); input && input->bytes.size() > kMaxEventBytes) {
    return "console input of " + std::to_string(input->bytes.size()) + " bytes";
  }
  if (const auto* seed = std::get_if<SeedMaterial>(&body); seed && seed->bytes.size() > kMaxEventBytes) {
    return "seed material of " + std::to_string(seed->bytes.size()) + " bytes";
  }
  if (const auto* end = std::get_if<End>(&body); end && end->reason.size() > kMaxReasonBytes) {
    return "reason of " + std::to_string(end->reason.size()) + " bytes";
  }
  if (const auto* remark = std::get_if<Remark>(&body); remark && remark->text.size() > kMaxRemarkBytes) {
    return "remark of " + std::to_string(remark->text.size()) + " bytes";
  }
  if (const auto* hash = std::get_if<StateHash>(&body)) {
    if (hash->components.size() > kMaxHashedComponents) {
      return "state hash with " + std::to_string(hash->components.size()) + " components";
    }
    std::set<std::string_view> names;
    for (const ComponentHash& component : hash->components) {
      if (!names.insert(component.name).second) return "state hash with two components '" + component.name + "'";
      if (component.name.size() > kMaxNameBytes)
        return "component name of " + std::to_string(component.name.size()) + " bytes";
    }
  }
  return {};
}

}  // namespace

struct ChunkBuilder::Impl {
  flatbuffers::FlatBufferBuilder builder;
  std::unique_ptr<ZSTD_CCtx, FreeContext> compression{ZSTD_createCCtx()};
  std::vector<std::string> manifest_names;
  u64 recording = 0;

  MomentPacker moments;
  std::vector<flatbuffers::Offset<fb::Record>> records;
  std::vector<std::string> names;  // beyond the manifest's
  std::unordered_map<std::string, u16> name_numbers;
  std::optional<StateHash> previous_hash;
  ChunkHeader header;

  void clear() {
    builder.Clear();
    moments.clear();
    records.clear();
    names.clear();
    name_numbers.clear();
    for (u64 i = 0; i < manifest_names.size(); ++i) name_numbers.emplace(manifest_names[i], static_cast<u16>(i));
    previous_hash.reset();
    header = {};
  }

  u16 number_of(const std::string& name) {
    const auto [found, is_new] = name_numbers.try_emplace(name, static_cast<u16>(manifest_names.size() + names.size()));
    if (is_new) names.push_back(name);
    return found->second;
  }

  template <class Table>
  void record(flatbuffers::Offset<Table> body) {
    records.push_back(fb::CreateRecord(builder, fb::BodyTraits<Table>::enum_value, body.Union()));
  }

  flatbuffers::Offset<fb::ConsoleInput> build(const ConsoleInput& b) {
    return fb::CreateConsoleInput(builder, b.port, builder.CreateVector(b.bytes));
  }
  flatbuffers::Offset<fb::ConsoleBreak> build(const ConsoleBreak& b) { return fb::CreateConsoleBreak(builder, b.port); }
  flatbuffers::Offset<fb::IdleWake> build(const IdleWake& b) { return fb::CreateIdleWake(builder, b.woke_at.value); }
  flatbuffers::Offset<fb::PowerButton> build(const PowerButton&) { return fb::CreatePowerButton(builder); }
  flatbuffers::Offset<fb::ResetButton> build(const ResetButton&) { return fb::CreateResetButton(builder); }
  flatbuffers::Offset<fb::HostTime> build(const HostTime& b) {
    return fb::CreateHostTime(builder, static_cast<u8>(b.purpose), b.seconds, b.nanoseconds);
  }
  flatbuffers::Offset<fb::SeedMaterial> build(const SeedMaterial& b) {
    return fb::CreateSeedMaterial(builder, builder.CreateVector(b.bytes));
  }
  flatbuffers::Offset<fb::AsynchronousInterrupt> build(const AsynchronousInterrupt& b) {
    return fb::CreateAsynchronousInterrupt(builder, b.vector);
  }
  flatbuffers::Offset<fb::CheckpointTaken> build(const CheckpointTaken& b) {
    return fb::CreateCheckpointTaken(builder, b.number);
  }
  flatbuffers::Offset<fb::End> build(const End& b) {
    const auto reason = builder.CreateString(b.reason);
    const fb::Hash state = to_fb(b.state_hash), console = to_fb(b.console_hash);
    return fb::CreateEnd(builder, reason, b.debug_exit_code.has_value(), b.debug_exit_code.value_or(0),
                         b.instructions.value, b.virtual_ns.value, &state, b.console_bytes, &console);
  }
  flatbuffers::Offset<fb::Remark> build(const Remark& b) {
    return fb::CreateRemark(builder, builder.CreateString(b.text));
  }
  // Only what changed since the previous one, if the components are the same: an idle device costs nothing.
  flatbuffers::Offset<fb::StateHash> build(const StateHash& b) {
    const auto same_name = [](const ComponentHash& x, const ComponentHash& y) { return x.name == y.name; };
    const bool complete =
        !previous_hash || !std::equal(b.components.begin(), b.components.end(), previous_hash->components.begin(),
                                      previous_hash->components.end(), same_name);
    std::vector<u16> numbers;
    std::vector<fb::Hash> hashes;
    for (u64 i = 0; i < b.components.size(); ++i) {
      if (!complete && b.components[i].hash == previous_hash->components[i].hash) continue;
      numbers.push_back(number_of(b.components[i].name));
      hashes.push_back(to_fb(b.components[i].hash));
    }
    previous_hash = b;
    const auto number_vector = builder.CreateVector(numbers);
    const auto hash_vector = builder.CreateVectorOfStructs(hashes);
    const fb::Hash total = to_fb(b.total);
    const ConsoleOutput output = b.console.value_or(ConsoleOutput{});
    const fb::ConsoleOutput console(output.bytes, to_fb(output.hash));
    return fb::CreateStateHash(builder, &total, complete, number_vector, hash_vector, b.console ? &console : nullptr);
  }
};

ChunkBuilder::ChunkBuilder(std::vector<std::string> component_names, u64 recording) : impl_(std::make_unique<Impl>()) {
  RONDO_ASSERT(impl_->compression);
  impl_->manifest_names = std::move(component_names);
  impl_->recording = recording;
  impl_->clear();
}

ChunkBuilder::~ChunkBuilder() = default;

Status ChunkBuilder::add(const Moment& moment, const EventBody& body) {
  if (const std::string limit = exceeded_limit(body); !limit.empty()) {
    return Error{"the recording format cannot hold a " + limit};
  }
  Impl& i = *impl_;
  std::optional<VirtualNs> sampled;
  const bool known = std::visit(
      [&]<class T>(const T& b) {
        if constexpr (std::is_same_v<T, Unknown>) {
          return false;
        } else if constexpr (std::is_same_v<T, SampledTime>) {
          sampled = b.time;
          return true;
        } else {
          i.record(i.build(b));
          i.header.ends_recording = std::is_same_v<T, End>;
          return true;
        }
      },
      body);
  if (!known) return Error{"an event of unknown kind cannot be recorded"};
  if (i.header.events++ == 0) {
    i.header.first_count = moment.count;
    i.header.first_time = moment.time;
  }
  i.moments.add(moment, sampled);
  return success();
}

bool ChunkBuilder::empty() const { return impl_->header.events == 0; }

u64 ChunkBuilder::raw_bytes() const {
  return impl_->builder.GetSize() + impl_->moments.bytes().size() + impl_->records.size() * sizeof(u32);
}

std::vector<u8> ChunkBuilder::finish(u64 first_event) {
  Impl& i = *impl_;
  RONDO_ASSERT(!empty());
  const auto moments = i.builder.CreateVector(i.moments.bytes());
  const auto records = i.builder.CreateVector(i.records);
  const auto names = i.builder.CreateVectorOfStrings(i.names);
  i.builder.Finish(fb::CreateChunk(i.builder, moments, records, names));

  const u64 raw_bytes = i.builder.GetSize();
  RONDO_ASSERT(raw_bytes <= kMaxChunkBytes);
  std::vector<u8> chunk(kChunkHeaderBytes + ZSTD_compressBound(raw_bytes));
  const u64 payload_bytes =
      ZSTD_compressCCtx(i.compression.get(), chunk.data() + kChunkHeaderBytes, chunk.size() - kChunkHeaderBytes,
                        i.builder.GetBufferPointer(), raw_bytes, kCompressionLevel);
  RONDO_ASSERT(!ZSTD_isError(payload_bytes));
  chunk.resize(kChunkHeaderBytes + payload_bytes);

  i.header.raw_bytes = static_cast<u32>(raw_bytes);
  i.header.payload_bytes = static_cast<u32>(payload_bytes);
  i.header.first_event = first_event;
  i.header.payload_digest = digest64(std::span(chunk).subspan(kChunkHeaderBytes), i.recording);
  const std::vector<u8> header = encode_chunk_header(i.header, i.recording);
  std::copy(header.begin(), header.end(), chunk.begin());
  i.clear();
  return chunk;
}

}  // namespace rondo::replay
