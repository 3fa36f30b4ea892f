#include "harness/recordings/describe.h"

#include <algorithm>
#include <array>

#include "core/cpu/cpuid.h"
#include "harness/host/clock.h"
#include "harness/host/entropy.h"

namespace rondo::recordings {
namespace {

constexpr char kCpuModel[] = "rondo-v1", kInSoftware[] = "software";

// What the guest can see with CPUID at reset.
std::vector<replay::CpuidLeaf> cpuid_leaves() {
  std::vector<replay::CpuidLeaf> leaves;
  const auto add = [&](u32 leaf, u32 subleaf) {
    const CpuidResult r = cpuid({.leaf = leaf, .subleaf = subleaf});
    leaves.push_back({leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx});
  };
  for (const u32 base : {0u, 0x40000000u, 0x80000000u}) {
    const u32 last = cpuid({.leaf = base}).eax;
    for (u32 leaf = base; leaf <= last && leaf - base < 0x40; ++leaf) add(leaf, 0);
  }
  return leaves;
}

std::string new_recording_id() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<u8, 16> random{};
  host::fill_random(random);
  std::string id;
  for (const u8 byte : random) {
    id += kDigits[byte >> 4];
    id += kDigits[byte & 15];
  }
  return id;
}

}  // namespace

replay::Manifest describe(Board& board, const BoardConfig& config, const replay::RecordingSettings& settings,
                          const std::string& program_version) {
  replay::Manifest m;
  m.program_version = program_version;
  m.recording_id = new_recording_id();
  m.machine.memory_bytes = config.memory_bytes;
  m.machine.engine = config.engine == EngineKind::kvm ? kOnKvm : kInSoftware;
  m.machine.seed = config.seed;
  m.machine.rtc_start = config.rtc_start;
  m.machine.command_line = config.command_line;
  m.machine.image_kind = board.image_kind();
  m.machine.cpu_model = kCpuModel;
  m.machine.cpuid = cpuid_leaves();
  for (const boot::TextPatch& p : board.text_patches())
    m.machine.text_patches.push_back({p.address.value, p.original, p.replacement});
  if (config.host_cpuid) {
    for (const HostCpuid::Leaf& l : config.host_cpuid->leaves)
      m.machine.user_cpuid.push_back({l.leaf, l.subleaf, l.shown.eax, l.shown.ebx, l.shown.ecx, l.shown.edx});
    m.machine.user_xcr0 = config.host_cpuid->xcr0;
  }
  m.host.push_back({"cpu", host::cpu_name()});
  if (config.engine == EngineKind::kvm && config.kvm.user_cpuid_leaks) m.host.push_back({kUserCpuidFact, "not masked"});
  if (config.engine == EngineKind::kvm && config.kvm.supervisor_in_software)
    m.host.push_back({kSupervisorFact, "in software"});
  m.settings = settings;
  for (const auto& [name, hash] : board.machine().component_hashes()) m.component_names.push_back(name);
  return m;
}

std::optional<HostCpuid> host_cpuid_of(const replay::MachineConfiguration& machine) {
  if (machine.user_cpuid.empty()) return std::nullopt;
  HostCpuid host{{}, machine.user_xcr0};
  for (const replay::CpuidLeaf& l : machine.user_cpuid)
    host.leaves.push_back({l.leaf, l.subleaf, {l.eax, l.ebx, l.ecx, l.edx}});
  return host;
}

bool has_fact(const replay::Manifest& manifest, std::string_view name) {
  return std::any_of(manifest.host.begin(), manifest.host.end(), [&](const auto& fact) { return fact.name == name; });
}

Result<BoardConfig> board_config(const replay::Manifest& manifest, const std::string& directory) {
  const replay::MachineConfiguration& m = manifest.machine;
  const std::string who = "recording '" + directory + "': ";
  if (m.engine != kInSoftware && m.engine != kOnKvm)
    return Error{who + "it was made on the engine '" + m.engine + "', which this rondo cannot replay"};
  if (m.cpus != 1) return Error{who + "it has " + std::to_string(m.cpus) + " vCPUs: this rondo replays 1"};
  if (m.ns_per_instruction != kNsPerInstruction || m.cpu_model != kCpuModel)
    return Error{who + "it was made with another CPU model or clock rate: use the rondo that made it (" +
                 manifest.program_version + ")"};
  if (m.cpuid != cpuid_leaves())
    return Error{who + "its guest saw another CPUID than this rondo shows: use the rondo that made it (" +
                 manifest.program_version + ")"};
  BoardConfig config;
  config.memory_bytes = m.memory_bytes;
  config.seed = m.seed;
  config.rtc_start = m.rtc_start;
  config.command_line = m.command_line;
  for (const replay::TextPatch& p : m.text_patches)
    config.text_patches.push_back({GuestPhys{p.address}, p.original, p.replacement});
  config.host_cpuid = host_cpuid_of(m);
  const replay::BlobStore blobs(directory);
  for (const replay::Image& image : m.images) {
    Image* place = image.role == "kernel" ? &config.kernel : image.role == "initrd" ? &config.initrd : nullptr;
    if (!place) return Error{who + "it has an image for '" + image.role + "', which this rondo does not know"};
    Result<std::vector<u8>> bytes = blobs.get(image.blob, m.memory_bytes);
    if (!bytes) return bytes.error();
    *place = Image::of(image.name.empty() ? image.role : image.name, std::move(*bytes));
  }
  if (!config.kernel.given()) return Error{who + "it has no kernel"};
  return config;
}

}  // namespace rondo::recordings
