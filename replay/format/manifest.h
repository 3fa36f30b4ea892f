// The manifest: the first file of a recording. What the machine was, with which settings it was recorded, and what is
// not guaranteed. Everything that a replay needs besides the events and the blobs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/time/clock.h"

namespace rondo::replay {

struct FormatVersion {
  u16 major = 0;
  u16 minor = 0;
  auto operator<=>(const FormatVersion&) const = default;
};
// A newer minor version is readable, another major version is refused.
inline constexpr FormatVersion kFormatVersion{1, 2};
std::string to_string(FormatVersion version);

// A file that went into the machine. Its bytes are in the blob store.
struct Image {
  std::string role;  // "kernel", "initrd"
  std::string name;  // as the user named it; for people
  std::string blob;  // BlobId in hexadecimal, see blob_store.h
  u64 bytes = 0;
  bool operator==(const Image&) const = default;
};

// One CPUID leaf as the guest saw it.
struct CpuidLeaf {
  u32 leaf = 0, subleaf = 0;
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
  bool operator==(const CpuidLeaf&) const = default;
};

// Bytes of the kernel's text that were replaced when it was loaded.
struct TextPatch {
  u64 address = 0;                        // guest-physical
  std::vector<u8> original, replacement;  // of the same length: 1 to 15
  bool operator==(const TextPatch&) const = default;
};

struct MachineConfiguration {
  u64 memory_bytes = 0;
  u32 cpus = 1;
  std::string engine;  // "software", "kvm": what executed it when it was recorded
  // "software" only: time is sampled as on KVM, though instructions are counted (harness/recordings/counted.h).
  bool sampled_time = false;
  u64 seed = 0;
  i64 rtc_start = 0;  // seconds since 1970, UTC
  std::string command_line;
  std::string image_kind;  // "bzImage (lz4)", "vmlinux", "multiboot"
  std::vector<Image> images;
  u64 ns_per_instruction = kNsPerInstruction;
  std::string cpu_model;  // "rondo-v1"
  std::vector<CpuidLeaf> cpuid;
  std::vector<TextPatch> text_patches;
  // "kvm" only: what programs saw instead, where KVM masked nothing (core/cpu/host_cpuid.h). Empty: the same.
  std::vector<CpuidLeaf> user_cpuid;
  std::optional<u64> user_xcr0;  // of XGETBV with ECX = 0
  bool operator==(const MachineConfiguration&) const = default;
};

// Something about the computer that recorded, for people: "cpu" = "AMD EPYC ...".
struct HostFact {
  std::string name;
  std::string value;
  bool operator==(const HostFact&) const = default;
};

struct RecordingSettings {
  u64 hash_interval = 0;        // instructions between state hashes; 0: only at the end
  u64 checkpoint_interval = 0;  // instructions between the first checkpoints; 0: none
  bool operator==(const RecordingSettings&) const = default;
};

struct Manifest {
  FormatVersion format = kFormatVersion;  // set by the writer
  std::string program_version;
  std::string recording_id;  // given by the caller, different for every recording: 1 to 64 characters
  MachineConfiguration machine;
  std::vector<HostFact> host;
  RecordingSettings settings;
  std::vector<std::string> marks;  // "not guaranteed because ...": one line each; empty: everything is guaranteed
  // Names of the machine's components, in order: state hashes then refer to them by number. May be empty.
  std::vector<std::string> component_names;
  bool operator==(const Manifest&) const = default;
};

inline constexpr char kManifestName[] = "manifest";
inline constexpr std::string_view kManifestMagic = "RONDOMAN";
inline constexpr u64 kMaxManifestBytes = u64{16} << 20;

std::vector<u8> encode_manifest(const Manifest& manifest);
// `path` is for messages only.
Result<Manifest> decode_manifest(std::span<const u8> file, const std::string& path);
Result<Manifest> read_manifest(const std::string& recording);

}  // namespace rondo::replay
