#include "replay/format/manifest.h"

#include "replay/format/blob_store.h"
#include "replay/format/envelope.h"
#include "replay/format/files.h"
#include "replay/format/recording_generated.h"
#include "replay/format/verified.h"

namespace rondo::replay {
namespace {

constexpr u64 kMaxRecordingId = 64;
constexpr u64 kMaxComponents = 4096;
constexpr u64 kMaxTextPatches = 1 << 16;
constexpr u64 kMaxInstructionBytes = 15;

std::string text(const flatbuffers::String* string) { return string ? string->str() : std::string(); }

std::vector<u8> bytes(const flatbuffers::Vector<u8>* vector) {
  return vector ? std::vector<u8>(vector->begin(), vector->end()) : std::vector<u8>();
}

std::vector<std::string> texts(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* strings) {
  std::vector<std::string> result;
  if (!strings) return result;
  for (const auto* string : *strings) result.push_back(string->str());
  return result;
}

// Elements may share their bytes in a crafted buffer, so that what it says is far larger than the buffer.
bool fits(const fb::Manifest& m, u64 payload_bytes) {
  u64 total = 0;
  const auto add = [&](const flatbuffers::String* string) { total += string ? string->size() : 0; };
  for (const auto* string :
       {m.program_version(), m.recording_id(), m.engine(), m.command_line(), m.image_kind(), m.cpu_model()})
    add(string);
  if (m.images())
    for (const auto* image : *m.images()) {
      add(image->role());
      add(image->name());
      add(image->blob());
    }
  if (m.host())
    for (const auto* fact : *m.host()) {
      add(fact->name());
      add(fact->value());
    }
  if (m.marks())
    for (const auto* mark : *m.marks()) add(mark);
  if (m.component_names())
    for (const auto* name : *m.component_names()) add(name);
  if (m.text_patches())
    for (const auto* patch : *m.text_patches()) {
      total += patch->original() ? patch->original()->size() : 0;
      total += patch->replacement() ? patch->replacement()->size() : 0;
    }
  return total <= payload_bytes;
}

}  // namespace

std::string to_string(FormatVersion version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::vector<u8> encode_manifest(const Manifest& manifest) {
  flatbuffers::FlatBufferBuilder builder;
  const MachineConfiguration& machine = manifest.machine;
  std::vector<flatbuffers::Offset<fb::Image>> images;
  for (const Image& image : machine.images) {
    images.push_back(fb::CreateImage(builder, builder.CreateString(image.role), builder.CreateString(image.name),
                                     builder.CreateString(image.blob), image.bytes));
  }
  const auto encoded = [](const std::vector<CpuidLeaf>& leaves) {
    std::vector<fb::CpuidLeaf> list;
    for (const CpuidLeaf& l : leaves) list.emplace_back(l.leaf, l.subleaf, l.eax, l.ebx, l.ecx, l.edx);
    return list;
  };
  std::vector<flatbuffers::Offset<fb::HostFact>> host;
  for (const HostFact& fact : manifest.host) {
    host.push_back(fb::CreateHostFact(builder, builder.CreateString(fact.name), builder.CreateString(fact.value)));
  }
  const auto program_version = builder.CreateString(manifest.program_version);
  const auto recording_id = builder.CreateString(manifest.recording_id);
  const auto engine = builder.CreateString(machine.engine);
  const auto command_line = builder.CreateString(machine.command_line);
  const auto image_kind = builder.CreateString(machine.image_kind);
  const auto cpu_model = builder.CreateString(machine.cpu_model);
  const auto image_vector = builder.CreateVector(images);
  const auto cpuid_vector = builder.CreateVectorOfStructs(encoded(machine.cpuid));
  const auto user_cpuid_vector = builder.CreateVectorOfStructs(encoded(machine.user_cpuid));
  const auto host_vector = builder.CreateVector(host);
  const auto marks = builder.CreateVectorOfStrings(manifest.marks);
  const auto names = builder.CreateVectorOfStrings(manifest.component_names);
  std::vector<flatbuffers::Offset<fb::TextPatch>> patches;
  for (const TextPatch& patch : machine.text_patches) {
    patches.push_back(fb::CreateTextPatch(builder, patch.address, builder.CreateVector(patch.original),
                                          builder.CreateVector(patch.replacement)));
  }
  const auto patch_vector = builder.CreateVector(patches);
  builder.Finish(fb::CreateManifest(builder, program_version, recording_id, machine.memory_bytes, machine.cpus, engine,
                                    machine.seed, machine.rtc_start, command_line, image_kind, image_vector,
                                    machine.ns_per_instruction, cpu_model, cpuid_vector, host_vector,
                                    manifest.settings.hash_interval, manifest.settings.checkpoint_interval, marks,
                                    names, machine.sampled_time, patch_vector, user_cpuid_vector,
      machine.user_xcr0.has_value(), machine.user_xcr0.value_or(0)));
  return wrap(kManifestMagic, {builder.GetBufferPointer(), builder.GetSize()});
}

Result<Manifest> decode_manifest(std::span<const u8> file, const std::string& path) {
  const auto unwrapped = unwrap(kManifestMagic, file, "manifest", path);
  if (!unwrapped) return unwrapped.error();
  // FlatBuffers wants its buffer aligned.
  const std::vector<u8> payload(unwrapped->payload.begin(), unwrapped->payload.end());
  flatbuffers::Verifier verifier(payload.data(), payload.size());
  if (!verifier.VerifyBuffer<fb::Manifest>(nullptr)) return file_error(path, "is damaged: the manifest is malformed");
  const fb::Manifest& in = *flatbuffers::GetRoot<fb::Manifest>(payload.data());
  if (!fits(in, payload.size()) || !is_aligned(in.cpuid()) || !is_aligned(in.user_cpuid()))
    return file_error(path, "is damaged: the manifest is malformed");

  Manifest out;
  out.format = unwrapped->version;
  out.program_version = text(in.program_version());
  out.recording_id = text(in.recording_id());
  MachineConfiguration& machine = out.machine;
  machine.memory_bytes = in.memory_bytes();
  machine.cpus = in.cpus();
  machine.engine = text(in.engine());
  machine.sampled_time = in.sampled_time();
  machine.seed = in.seed();
  machine.rtc_start = in.rtc_start();
  machine.command_line = text(in.command_line());
  machine.image_kind = text(in.image_kind());
  if (in.images()) {
    for (const auto* image : *in.images()) {
      machine.images.push_back({text(image->role()), text(image->name()), text(image->blob()), image->bytes()});
      if (!is_blob_id(machine.images.back().blob)) {
        return file_error(path, "is damaged: image '" + machine.images.back().role + "' names no blob");
      }
    }
  }
  machine.ns_per_instruction = in.ns_per_instruction();
  machine.cpu_model = text(in.cpu_model());
  const auto decoded = [](const flatbuffers::Vector<const fb::CpuidLeaf*>* leaves) {
    std::vector<CpuidLeaf> list;
    if (!leaves) return list;
    for (const auto* l : *leaves) list.push_back({l->leaf(), l->subleaf(), l->eax(), l->ebx(), l->ecx(), l->edx()});
    return list;
  };
  machine.cpuid = decoded(in.cpuid());
  machine.user_cpuid = decoded(in.user_cpuid());
  if (in.has_user_xcr0()) machine.user_xcr0 = in.user_xcr0();
  if (in.text_patches()) {
    if (in.text_patches()->size() > kMaxTextPatches)
      return file_error(path, "is damaged: it has too many text patches");
    for (const auto* p : *in.text_patches()) {
      const TextPatch& patch =
          machine.text_patches.emplace_back(TextPatch{p->address(), bytes(p->original()), bytes(p->replacement())});
      if (patch.original.empty() || patch.original.size() > kMaxInstructionBytes ||
          patch.replacement.size() != patch.original.size())
        return file_error(path, "is damaged: a text patch is not one of an instruction");
    }
  }
  if (in.host()) {
    for (const auto* fact : *in.host()) out.host.push_back({text(fact->name()), text(fact->value())});
  }
  out.settings = {in.hash_interval(), in.checkpoint_interval()};
  out.marks = texts(in.marks());
  out.component_names = texts(in.component_names());
  if (out.recording_id.empty() || out.recording_id.size() > kMaxRecordingId) {
    return file_error(path, "is damaged: it has no valid recording id");
  }
  if (out.component_names.size() > kMaxComponents) return file_error(path, "is damaged: it names too many components");
  return out;
}

Result<Manifest> read_manifest(const std::string& recording) {
  const std::string path = recording + "/" + kManifestName;
  if (!exists(recording)) return file_error(recording, "does not exist");
  if (!exists(path)) return file_error(recording, "is not a recording: it has no file 'manifest'");
  const auto bytes = read_file(path, kMaxManifestBytes);
  if (!bytes) return bytes.error();
  return decode_manifest(*bytes, path);
}

}  // namespace rondo::replay
