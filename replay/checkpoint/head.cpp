#include "replay/checkpoint/head.h"

#include "core/state/hash.h"
#include "replay/checkpoint/checkpoint_generated.h"
#include "replay/format/envelope.h"
#include "replay/format/files.h"

namespace rondo::replay {
namespace {

constexpr char kHeadMagic[] = "RONDOCKH";

fb::Hash to_fb(const Hash128& hash) { return {hash.high, hash.low}; }
fb::CheckpointPart to_fb(const CheckpointPart& part) { return {part.offset, part.bytes, to_fb(part.hash)}; }

Hash128 from_fb(const fb::Hash* hash) { return hash ? Hash128{hash->high(), hash->low()} : Hash128{}; }
CheckpointPart from_fb(const fb::CheckpointPart& part) { return {part.offset(), part.bytes(), from_fb(&part.hash())}; }

void add(Hasher& hasher, const Hash128& hash) {
  hasher.add(hash.high);
  hasher.add(hash.low);
}

}  // namespace

Hash128 CheckpointHead::identity() const {
  Hasher hasher;
  for (const u64 value : {recording, number, info.moment.count.value, info.moment.time.value, info.moment.rip,
                          info.moment.rcx, info.moment.synchronous.value_or(0), info.next_event, memory_bytes}) {
    hasher.add(value);
  }
  add(hasher, info.state_hash.total);
  add(hasher, memory);
  add(hasher, state.hash);
  return hasher.digest();
}

std::vector<u8> encode_head(const CheckpointHead& head) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::CheckpointComponent>> components;
  for (const ComponentHash& component : head.info.state_hash.components) {
    const fb::Hash hash = to_fb(component.hash);
    const auto name = builder.CreateString(component.name);
    components.push_back(fb::CreateCheckpointComponent(builder, name, &hash));
  }
  const auto component_vector = builder.CreateVector(components);
  const Moment& moment = head.info.moment;
  const Fingerprint fingerprint = moment.fingerprint.value_or(Fingerprint{});
  const fb::Hash base = to_fb(head.base), registers = to_fb(fingerprint.registers),
                 fingerprint_memory = to_fb(fingerprint.memory), state_hash = to_fb(head.info.state_hash.total),
                 memory = to_fb(head.memory);
  const fb::CheckpointPart state = to_fb(head.state), pages = to_fb(head.pages), contents = to_fb(head.contents);
  fb::CheckpointHeadBuilder table(builder);
  table.add_recording(head.recording);
  table.add_number(head.number);
  table.add_covers_from(head.covers_from);
  table.add_base(&base);
  table.add_count(moment.count.value);
  table.add_virtual_ns(moment.time.value);
  table.add_rip(moment.rip);
  table.add_rcx(moment.rcx);
  table.add_has_synchronous(moment.synchronous.has_value());
  table.add_synchronous(moment.synchronous.value_or(0));
  table.add_has_fingerprint(moment.fingerprint.has_value());
  table.add_fingerprint_registers(&registers);
  table.add_fingerprint_memory(&fingerprint_memory);
  table.add_next_event(head.info.next_event);
  table.add_state_hash(&state_hash);
  table.add_components(component_vector);
  table.add_memory_bytes(head.memory_bytes);
  table.add_memory(&memory);
  table.add_state(&state);
  table.add_state_bytes(head.state_bytes);
  table.add_pages(&pages);
  table.add_contents(&contents);
  builder.Finish(table.Finish());
  return wrap(kHeadMagic, {builder.GetBufferPointer(), builder.GetSize()});
}

Result<CheckpointHead> decode_head(std::span<const u8> bytes, const std::string& path) {
  const auto unwrapped = unwrap(kHeadMagic, bytes, "head of a checkpoint", path);
  if (!unwrapped) return unwrapped.error();
  // FlatBuffers wants its buffer aligned.
  const std::vector<u8> payload(unwrapped->payload.begin(), unwrapped->payload.end());
  flatbuffers::Verifier verifier(payload.data(), payload.size());
  const Error malformed = file_error(path, "is damaged: its head is malformed");
  if (!verifier.VerifyBuffer<fb::CheckpointHead>(nullptr)) return malformed;
  const fb::CheckpointHead& in = *flatbuffers::GetRoot<fb::CheckpointHead>(payload.data());
  if (!in.state() || !in.pages() || !in.contents()) return malformed;

  CheckpointHead out;
  out.version = unwrapped->version;
  out.recording = in.recording();
  out.number = in.number();
  out.covers_from = in.covers_from();
  out.base = from_fb(in.base());
  Moment& moment = out.info.moment;
  moment = {InstrCount{in.count()}, VirtualNs{in.virtual_ns()}, in.rip(), in.rcx(), std::nullopt, std::nullopt};
  if (in.has_synchronous()) moment.synchronous = in.synchronous();
  if (in.has_fingerprint()) {
    moment.fingerprint = Fingerprint{from_fb(in.fingerprint_registers()), from_fb(in.fingerprint_memory())};
  }
  out.info.next_event = in.next_event();
  out.info.state_hash.total = from_fb(in.state_hash());
  if (in.components()) {
    // Elements may share their bytes in a crafted buffer, so that what it says is far larger than the buffer.
    u64 total = 0;
    if (in.components()->size() > kMaxComponents) return malformed;
    for (const auto* component : *in.components()) {
      const std::string name = component->name() ? component->name()->str() : std::string();
      total += name.size();
      if (total > payload.size()) return malformed;
      out.info.state_hash.components.push_back({name, from_fb(component->hash())});
    }
  }
  out.memory_bytes = in.memory_bytes();
  out.memory = from_fb(in.memory());
  out.state = from_fb(*in.state());
  out.state_bytes = in.state_bytes();
  out.pages = from_fb(*in.pages());
  out.contents = from_fb(*in.contents());
  if (out.number == 0 || out.covers_from == 0 || out.covers_from > out.number) return malformed;
  return out;
}

}  // namespace rondo::replay
