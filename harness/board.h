// The board: one PC-like machine, assembled. The only place that names concrete devices and an engine together.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/cpu/host_cpuid.h"
#include "core/door.h"
#include "core/machine.h"
#include "harness/boot/text_patches.h"

namespace rondo {

// Serves a kernel that says nothing else: output to the serial port, and a panic ends the run instead of halting.
inline constexpr char kDefaultCommandLine[] = "console=ttyS0 panic=-1";
inline constexpr i64 kDefaultRtcStart =
    1'700'000'000;  // 2023-11-14 22:13:20 UTC: fixed, as everything that enters a machine

// How often the host's side is looked at while the guest is busy, in instructions. With it the Moments at which input
// that is ready enters a machine are the same in every run.
inline constexpr u64 kPollEvery = 200'000;

// A boot image: a name for messages, and its bytes. They are read once, so that what is recorded is what was loaded.
struct Image {
  std::string name;  // empty: none
  std::span<const u8> bytes;
  std::shared_ptr<const void> storage;  // keeps the bytes

  bool given() const { return !name.empty(); }
  // `role` names it in messages ("kernel", "initrd"). An empty path gives no image. Refuses what is larger than guest
  // memory.
  static Result<Image> read(const std::string& path, const std::string& role, u64 memory_bytes = kMaximumRam);
  static Image of(std::string name, std::vector<u8> bytes);
};

class Kicker;
enum class EngineKind : u8 { software, kvm };

// With hardware virtualization (core/kvm/engine.h).
struct KvmSettings {
  Kicker* kicker = nullptr;    // outlives the board
  bool exact_windows = false;  // as `rondo doctor` found it
  bool supervisor_in_software = false;
  bool host_traps_time_stamps = false;  // with it: kvm::VcpuHandle::trap_time_stamps()
  bool user_descriptors_leak = false;   // at CPL 3 the host's descriptors are used, and only 64-bit code can do without
  bool user_cpuid_leaks = false;        // CPUID at CPL 3 shows the host's: a recording says so
};

struct BoardConfig {
  u64 memory_bytes = u64{256} << 20;
  i64 rtc_start = kDefaultRtcStart;  // seconds since 1970, UTC: what the battery-backed clock shows at reset
  u64 seed = 0;                      // of everything that the machine draws; nothing draws with one vCPU
  Image kernel;                      // none: nothing is loaded; the state comes from elsewhere
  Image initrd;
  std::string command_line = kDefaultCommandLine;
  // What is replaced in the kernel's text: what is found, or else what a recording says was found.
  boot::PatchKinds find_patches;
  std::vector<boot::TextPatch> text_patches;
  EngineKind engine = EngineKind::software;
  KvmSettings kvm;  // kicker: needed whenever KVM is to run this board
  std::optional<HostCpuid> host_cpuid;  // what programs see where KVM masks nothing
  TimeSource* time_source =
      nullptr;  // null: instructions are counted, which only the software engine can; outlives the board
  CharacterSink* console = nullptr;  // output of the first serial port; outlives the board. Null: discarded
};

class Board final : public InputSink {
 public:
  // Errors are one line and name the file or value at fault.
  static Result<std::unique_ptr<Board>> create(const BoardConfig& config);
  ~Board() override;
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  Machine& machine();
  const Clock& clock() const;
  const std::string& image_kind() const;  // "bzImage (lz4)", "vmlinux", "multiboot"; empty if nothing was loaded
  const std::vector<boot::TextPatch>& text_patches() const;
  bool text_known() const;  // whether the image says where its code lies, so that patches could be looked for

  // Goes on with the other engine, at any Moment between runs. Fails if KVM is not to be had; then nothing changes.
  Status use_engine(EngineKind kind);

  // A console byte that comes while the guest does not listen, or has no room, is lost as on a real line.
  void enter(const Input& input) override;
  bool console_listens() const;

  // A complete saved machine with what is needed to build its board.
  std::vector<u8> save();
  static Result<u64> saved_memory_bytes(std::span<const u8> saved);
  Status restore(std::span<const u8> saved);

 private:
  struct Parts;
  explicit Board(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace rondo
