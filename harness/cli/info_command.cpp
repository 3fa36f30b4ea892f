#include "harness/cli/info_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/boot/text_patches.h"
#include "harness/cli/exit_status.h"
#include "replay/checkpoint/store.h"
#include "replay/format/blob_store.h"
#include "replay/format/index.h"
#include "replay/format/summary.h"
#include "replay/pack.h"

namespace rondo::cli {
namespace {

using namespace replay;

struct File {
  std::string name;
  u64 bytes = 0;
};

// Everything that is told, wherever it came from.
struct Info {
  std::string path;
  bool packed = false;
  bool being_written = false;
  Manifest manifest;
  RecordingSummary summary;
  std::vector<std::string> image_problems;  // one for each image, empty: it is there and good
  std::vector<File> checkpoints;
  std::vector<std::string> checkpoint_problems;  // of those that are left out by a seek
  u64 total_bytes = 0;

  bool images_good() const {
    for (const std::string& problem : image_problems) {
      if (!problem.empty()) return false;
    }
    return true;
  }
  ExitStatus status() const {
    if (summary.validity.ending == LogEnding::damaged || !images_good()) return kDamaged;
    return summary.validity.ending == LogEnding::complete ? kEnded : kUnfinished;
  }
  std::string state() const {
    switch (status()) {
      case kEnded:
        return "complete";
      case kUnfinished:
        return being_written ? "being written" : "unfinished";
      default:
        return "damaged";
    }
  }
};

struct stat stat_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) info = {};
  return info;
}

std::vector<File> files_in(const std::string& folder) {
  std::vector<File> files;
  std::error_code ignored;
  for (std::filesystem::directory_iterator at(folder, ignored), end; at != end; at.increment(ignored)) {
    const auto info = stat_of(at->path().string());
    if (S_ISREG(info.st_mode)) files.push_back({at->path().filename().string(), static_cast<u64>(info.st_size)});
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.name < b.name; });
  return files;
}

u64 bytes_of(const std::vector<File>& files) {
  u64 total = 0;
  for (const File& file : files) total += file.bytes;
  return total;
}

Result<Info> look_at_directory(const std::string& path) {
  auto reader = RecordingReader::open(path);
  if (!reader) return reader.error();
  Info info;
  info.path = path;
  info.manifest = reader->manifest();
  info.being_written = reader->writer_is_alive();
  info.summary = summarize(*reader);
  const BlobStore blobs(path);
  for (const Image& image : info.manifest.machine.images) {
    const auto good = blobs.verify(image.blob, image.bytes);
    info.image_problems.push_back(good ? "" : good.error().message);
  }
  info.checkpoints = files_in(path + "/checkpoints");
  const auto store = CheckpointStore::open(path, store_options(info.manifest));
  if (store)
    info.checkpoint_problems = store->problems();
  else
    info.checkpoint_problems.push_back(store.error().message);
  info.total_bytes =
      bytes_of(files_in(path)) + bytes_of(files_in(path + "/" + kBlobFolder)) + bytes_of(info.checkpoints);
  return info;
}

Result<Info> look_at_pack(const std::string& path) {
  auto packed = open_packed(path);
  if (!packed) return packed.error();
  Info info;
  info.path = path;
  info.packed = true;
  info.manifest = packed->reader.manifest();
  info.summary = summarize(packed->reader);
  for (const Image& image : info.manifest.machine.images) {
    const bool there = std::find(packed->blobs.begin(), packed->blobs.end(), image.blob) != packed->blobs.end();
    info.image_problems.push_back(there ? "" : "it is not in the packed file");
  }
  for (const PackedFile& file : packed->checkpoints) info.checkpoints.push_back({file.name, file.bytes});
  info.total_bytes = packed->totals.packed_bytes;
  return info;
}

// Text of a recording is whatever somebody put there: nothing of it may steer the terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string size_text(u64 bytes) {
  static constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  unsigned unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.4g} {}", value, kUnits[unit]);
}

std::string seconds_text(VirtualNs time) {
  return fmt::format("{}.{:09} s", time.value / 1'000'000'000, time.value % 1'000'000'000);
}

std::string moment_text(const Moment& moment) {
  std::string text = fmt::format("count {}, {}, RIP {:#x}", moment.count.value, seconds_text(moment.time), moment.rip);
  if (moment.synchronous) text += fmt::format(", synchronous event {}", *moment.synchronous);
  return text;
}

// What the counts of a recording are numbers of.
const char* counted(const Manifest& manifest) {
  return manifest.machine.engine == "kvm" ? "events" : "instructions";
}

std::string interval_text(const Manifest& manifest, u64 interval, const char* none) {
  return interval == 0 ? none : fmt::format("every {} {}", interval, counted(manifest));
}

std::vector<std::pair<std::string, u64>> patch_counts(const MachineConfiguration& machine) {
  std::vector<boot::TextPatch> patches;
  for (const TextPatch& p : machine.text_patches) patches.push_back({GuestPhys{p.address}, p.original, p.replacement});
  return boot::count_text_patches(patches);
}

std::string patches_text(const MachineConfiguration& machine) {
  std::string counts;
  for (const auto& [name, count] : patch_counts(machine))
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, name);
  return fmt::format("{} instructions replaced: {}", machine.text_patches.size(), counts);
}

std::string to_text(const Info& info) {
  std::string out;
  const auto line = [&](std::string_view name, const std::string& text) {
    out += fmt::format("{:<12} {}\n", name, printable(text));
  };
  const Manifest& m = info.manifest;
  const MachineConfiguration& machine = m.machine;
  const RecordingSummary& s = info.summary;
  line("recording", info.path + (info.packed ? " (packed)" : ""));
  line("state", info.state() + (info.state() == "complete" ? "" : ": " + s.validity.explanation));
  line("id", m.recording_id);
  line("made by", "rondo " + m.program_version + ", format " + to_string(m.format));
  for (const HostFact& fact : m.host) line("host", fact.name + ": " + fact.value);
  if (m.marks.empty()) line("guaranteed", "replays exactly");
  for (const std::string& mark : m.marks) line("attention", mark);
  line("machine",
       fmt::format("{} memory, {} vCPU, engine {}, seed {}, CPU model {} ({} CPUID leaves), {} ns per instruction",
                   size_text(machine.memory_bytes), machine.cpus, machine.engine, machine.seed, machine.cpu_model,
                   machine.cpuid.size(), machine.ns_per_instruction));
  line("clock", fmt::format("starts {} s after 1970", machine.rtc_start));
  for (u64 i = 0; i < machine.images.size(); ++i) {
    const Image& image = machine.images[i];
    line(printable(image.role), fmt::format("{}, {}, SHA-256 {}", image.name, size_text(image.bytes), image.blob));
    if (!info.image_problems[i].empty()) line("", "damaged: " + info.image_problems[i]);
  }
  line("image kind", machine.image_kind);
  line("command line", machine.command_line);
  if (!machine.text_patches.empty()) line("text", patches_text(machine));

  line("events", fmt::format("{}", s.validity.events));
  for (const auto& [kind, count] : s.events_by_kind) line("", fmt::format("{:>9} {}", count, kind));
  if (s.input_bytes) line("input", fmt::format("{} typed", size_text(s.input_bytes)));
  if (s.unknown_events) line("attention", "events of a newer version of the format: this program cannot replay it");
  std::string hashes = interval_text(m, m.settings.hash_interval, "at the end only");
  if (s.last_state_hash) {
    hashes += fmt::format("; last {} at {}", std::get<StateHash>(s.last_state_hash->body).total.hex(),
                          moment_text(s.last_state_hash->moment));
  }
  line("state hashes", hashes);
  line("checkpoints",
       fmt::format("{}; {} files, {}", interval_text(m, m.settings.checkpoint_interval, "not at intervals"),
                   info.checkpoints.size(), size_text(bytes_of(info.checkpoints))));
  for (const std::string& problem : info.checkpoint_problems) line("attention", problem + ": seeks do without it");
  for (const Event& remark : s.remarks) {
    line("remark", fmt::format("{} (at {})", std::get<Remark>(remark.body).text, moment_text(remark.moment)));
  }
  if (s.last_event)
    line("last event", fmt::format("{} at {}", s.last_event->number, moment_text(s.last_event->moment)));
  if (s.end) {
    line("end", fmt::format("{} after {} {}, {}", s.end->reason, s.end->instructions.value, counted(m),
                            seconds_text(s.end->virtual_ns)));
    if (s.end->debug_exit_code) line("", fmt::format("debug exit code {}", *s.end->debug_exit_code));
    line("", fmt::format("state hash {}", s.end->state_hash.hex()));
    line("", fmt::format("console {}, hash {}", size_text(s.end->console_bytes), s.end->console_hash.hex()));
  }
  line("sizes", fmt::format("log {}, checkpoints {}, all {}", size_text(s.validity.file_bytes),
                            size_text(bytes_of(info.checkpoints)), size_text(info.total_bytes)));
  return out;
}

std::string hex_text(const std::vector<u8>& bytes) {
  std::string text;
  for (const u8 byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

nlohmann::json to_json(const Moment& moment) {
  nlohmann::json out = {
      {"count", moment.count.value}, {"virtual_ns", moment.time.value}, {"rip", moment.rip}, {"rcx", moment.rcx}};
  if (moment.synchronous) out["synchronous_event"] = *moment.synchronous;
  if (moment.fingerprint) {
    out["registers_hash"] = moment.fingerprint->registers.hex();
    out["memory_hash"] = moment.fingerprint->memory.hex();
  }
  return out;
}

nlohmann::json to_json(const End& end) {
  nlohmann::json out = {{"reason", end.reason},
                        {"instructions", end.instructions.value},
                        {"virtual_ns", end.virtual_ns.value},
                        {"state_hash", end.state_hash.hex()},
                        {"console_bytes", end.console_bytes},
                        {"console_hash", end.console_hash.hex()}};
  if (end.debug_exit_code) out["debug_exit_code"] = *end.debug_exit_code;
  return out;
}

nlohmann::json to_json(const MachineConfiguration& machine, const std::vector<std::string>& image_problems) {
  nlohmann::json images = nlohmann::json::array();
  for (u64 i = 0; i < machine.images.size(); ++i) {
    const Image& image = machine.images[i];
    images.push_back({{"role", image.role},
                      {"name", image.name},
                      {"sha256", image.blob},
                      {"bytes", image.bytes},
                      {"good", image_problems[i].empty()}});
    if (!image_problems[i].empty()) images.back()["problem"] = image_problems[i];
  }
  nlohmann::json cpuid = nlohmann::json::array();
  for (const CpuidLeaf& l : machine.cpuid) {
    cpuid.push_back(
        {{"leaf", l.leaf}, {"subleaf", l.subleaf}, {"eax", l.eax}, {"ebx", l.ebx}, {"ecx", l.ecx}, {"edx", l.edx}});
  }
  nlohmann::json patches = nlohmann::json::array();
  for (const TextPatch& p : machine.text_patches)
    patches.push_back(
        {{"address", p.address}, {"original", hex_text(p.original)}, {"replacement", hex_text(p.replacement)}});
  return {{"memory_bytes", machine.memory_bytes},
          {"cpus", machine.cpus},
          {"engine", machine.engine},
          {"seed", machine.seed},
          {"rtc_start", machine.rtc_start},
          {"command_line", machine.command_line},
          {"image_kind", machine.image_kind},
          {"ns_per_instruction", machine.ns_per_instruction},
          {"cpu_model", machine.cpu_model},
          {"images", images},
          {"text_patches", patches},
          {"cpuid", cpuid}};
}

nlohmann::json to_json(const Info& info) {
  const Manifest& m = info.manifest;
  const RecordingSummary& s = info.summary;
  nlohmann::json host = nlohmann::json::object();
  for (const HostFact& fact : m.host) host[fact.name] = fact.value;
  nlohmann::json checkpoints = nlohmann::json::array();
  for (const File& file : info.checkpoints) checkpoints.push_back({{"file", file.name}, {"bytes", file.bytes}});
  nlohmann::json taken = nlohmann::json::array();
  for (const Event& event : s.checkpoints) {
    taken.push_back({{"number", std::get<CheckpointTaken>(event.body).number}, {"moment", to_json(event.moment)}});
  }
  nlohmann::json remarks = nlohmann::json::array();
  for (const Event& event : s.remarks) {
    remarks.push_back({{"text", std::get<Remark>(event.body).text}, {"moment", to_json(event.moment)}});
  }
  nlohmann::json out = {{"path", info.path},
                        {"packed", info.packed},
                        {"state", info.state()},
                        {"explanation", s.validity.explanation},
                        {"recording_id", m.recording_id},
                        {"program_version", m.program_version},
                        {"format", to_string(m.format)},
                        {"host", host},
                        {"marks", m.marks},
                        {"machine", to_json(m.machine, info.image_problems)},
                        {"hash_interval", m.settings.hash_interval},
                        {"checkpoint_interval", m.settings.checkpoint_interval},
                        {"component_names", m.component_names},
                        {"events", s.validity.events},
                        {"events_by_kind", s.events_by_kind},
                        {"input_bytes", s.input_bytes},
                        {"unknown_events", s.unknown_events},
                        {"log_bytes", s.validity.file_bytes},
                        {"valid_log_bytes", s.validity.valid_bytes},
                        {"checkpoint_files", checkpoints},
                        {"checkpoints_taken", taken},
                        {"checkpoint_problems", info.checkpoint_problems},
                        {"remarks", remarks},
                        {"total_bytes", info.total_bytes}};
  if (s.last_event) {
    out["last_event"] = {{"number", s.last_event->number},
                         {"kind", kind_name(s.last_event->body)},
                         {"moment", to_json(s.last_event->moment)}};
  }
  if (s.last_state_hash) {
    const auto& hash = std::get<StateHash>(s.last_state_hash->body);
    nlohmann::json components = nlohmann::json::object();
    for (const ComponentHash& component : hash.components) components[component.name] = component.hash.hex();
    out["last_state_hash"] = {
        {"hash", hash.total.hex()}, {"components", components}, {"moment", to_json(s.last_state_hash->moment)}};
  }
  if (s.end) out["end"] = to_json(*s.end);
  return out;
}

// A name in a recording may hold any bytes.
std::string dump(const nlohmann::json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Nothing could be looked at: is it damaged, or something else?
ExitStatus status_of_failure(const std::string& path) {
  const bool directory = S_ISDIR(stat_of(path).st_mode);
  const auto version = directory ? recording_version(path) : pack_version(path);
  return version && version->major == kFormatVersion.major ? kDamaged : kBadUsage;
}

}  // namespace

int info_command(const std::string& path, bool json) {
  const bool other_file = S_ISREG(stat_of(path).st_mode) && !pack_version(path);
  const auto info = other_file ? Error{"'" + path + "': is neither a recording's directory nor a packed recording"}
                    : pack_version(path) ? look_at_pack(path)
                                         : look_at_directory(path);
  std::string out;
  ExitStatus status;
  if (info) {
    status = info->status();
    out = json ? dump(to_json(*info)) : to_text(*info);
  } else {
    status = status_of_failure(path);
    const char* state = status == kDamaged ? "damaged" : "not a recording";
    if (json) out = dump({{"path", path}, {"state", state}, {"explanation", info.error().message}});
    std::fprintf(stderr, "rondo: info: %s\n", info.error().message.c_str());
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  return std::fflush(stdout) == 0 ? status : kOther;
}

}  // namespace rondo::cli
