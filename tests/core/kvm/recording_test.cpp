// Guests recorded on KVM, at many kick intervals: every recording replays in software and on KVM to the same
// hashes at every checkpoint and the same end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/cpu/patched_text.h"
#include "core/kvm/system.h"
#include "harness/doctor/host_profile.h"
#include "harness/kvm/plan.h"
#include "harness/recordings/playback.h"
#include "harness/recordings/start.h"
#include "replay/recorder.h"
#include "tests/slow.h"

namespace rondo {
namespace {

using replay::PlayEnd;

struct Directory {
  Directory() {
    std::string name = testing::TempDir() + "rondo-kvm-XXXXXX";
    path = mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string recording() const { return path + "/r"; }
  std::string path;
};

enum class Drive : u8 { run, step, kvm, user_on_kvm };
constexpr const char* kDriveNames[] = {"run", "stepped", "on KVM", "CPL 3 on KVM"};

std::string guest_path(const std::string& name) { return std::string(RONDO_GUESTS) + "/" + name + ".elf"; }

// The sites of kvm_time, which a NOP names, as patches of it.
std::vector<boot::TextPatch> time_stamp_sites(std::span<const u8> elf) {
  const std::vector<u8> mark{0x0f, 0x1f, 0x40, 0x77};
  const std::pair<std::vector<u8>, std::vector<u8>> kinds[] = {{{0x0f, 0x31}, {0xe6, kTimeStampPort}},
                                                               {{0x0f, 0x01, 0xf9}, {0x66, 0xe7, kTimeStampPort}},
                                                               {{0x0f, 0xa2}, {0xe6, kCpuidPort}}};
  std::vector<boot::TextPatch> patches;
  const auto image = boot::parse_elf(elf);
  if (!image) return patches;
  for (const auto& segment : image->segments) {
    const auto bytes = elf.subspan(segment.file_offset, segment.file_size);
    for (const auto& [original, replacement] : kinds) {
      std::vector<u8> site = original;
      site.insert(site.end(), mark.begin(), mark.end());
      for (auto at = bytes.begin();; ++at) {
        at = std::search(at, bytes.end(), site.begin(), site.end());
        if (at == bytes.end()) break;
        patches.push_back({segment.address + static_cast<u64>(at - bytes.begin()), original, replacement});
      }
    }
  }
  return patches;
}

struct Collector final : CharacterSink {
  std::string text;
  void put(u8 byte) override { text += static_cast<char>(byte); }
};

struct Recorded {
  RunResult result;
  std::string state;
  std::string console;
};

// Written for this; each checks itself, and what it prints may depend on the time.
constexpr const char* kGuests[] = {"kvm_devices", "kvm_tasks", "kvm_strings", "kvm_nested"};

class RecordedOnKvm : public testing::Test {
 protected:
  void SetUp() override {
    const auto opened = kvm::System::open();
    if (!opened.system) GTEST_SKIP() << "no KVM: " << opened.error.message;
  }

  // `everything_on_kvm`: else only CPL 3 (core/kvm/user_view.h).
  Recorded record(const std::string& guest, u64 kick_ns, const std::string& directory, bool everything_on_kvm = true,
                  u64 hash_interval = 200, bool patched = false) {
    Recorded recorded;
    HostTimeSource time;
    HostKicker kicker(kick_ns);
    Collector text;
    replay::ConsoleDigest console(&text);
    BoardConfig config;
    config.memory_bytes = u64{8} << 20;
    config.console = &console;
    config.engine = EngineKind::kvm;
    config.kvm.kicker = &kicker;
    config.kvm.supervisor_in_software = !everything_on_kvm;
    config.time_source = &time;
    auto kernel = Image::read(guest_path(guest), "kernel");
    EXPECT_TRUE(kernel) << kernel.error().message;
    config.kernel = *kernel;
    if (patched) config.text_patches = time_stamp_sites(kernel->bytes);
    auto board = Board::create(config);
    EXPECT_TRUE(board) << board.error().message;
    if (!board) return recorded;
    Machine& machine = (*board)->machine();
    auto writer = recordings::start_recording(directory, **board, config,
                                              {.hash_interval = hash_interval, .checkpoint_interval = 400}, {});
    EXPECT_TRUE(writer) << writer.error().message;
    auto checkpoints = recordings::start_checkpoints(*writer, **board);
    EXPECT_TRUE(checkpoints) << checkpoints.error().message;
    PollingDoor live(64, [](auto) { return true; });
    replay::Recorder recorder(machine, **board, live, console, std::move(*writer));
    recorder.sample_from(time);
    recorder.add_checkpoints(std::move(*checkpoints));
    machine.clock().use_samples(&recorder);
    recorded.result = machine.run({}, &recorder);
    EXPECT_NE(recorded.result.reason, ExitReason::host_failure) << machine.engine().failure();
    recorded.state = machine.state_hash();
    recorded.console = text.text;
    std::optional<u32> code;
    if (recorded.result.reason == ExitReason::debug_exit) code = recorded.result.debug_exit_code;
    const Status finished = recorder.finish(std::string(to_string(recorded.result.reason)), code);
    EXPECT_TRUE(finished) << finished.error().message;
    return recorded;
  }

  // Returns the number of state hashes that agreed.
  static u64 expect_replays(const std::string& directory, const Recorded& recorded, Drive drive,
                            u64 kick_ns = kKickEveryNs) {
    SCOPED_TRACE(kDriveNames[static_cast<unsigned>(drive)]);
    HostKicker kicker(kick_ns);
    std::optional<KvmSettings> kvm;
    if (drive == Drive::kvm || drive == Drive::user_on_kvm)
      kvm = KvmSettings{.kicker = &kicker, .supervisor_in_software = drive == Drive::user_on_kvm};
    auto playback = recordings::Playback::open(directory, nullptr, kvm);
    EXPECT_TRUE(playback) << playback.error().message;
    if (!playback) return 0;
    const auto end = (*playback)->seek({.single_step = drive == Drive::step});
    EXPECT_TRUE(end) << end.error().message;
    const replay::Player& player = (*playback)->player();
    EXPECT_EQ(*end, PlayEnd::complete) << (player.divergence() ? player.divergence()->what : "")
                                       << (player.error() ? player.error()->message : "");
    EXPECT_GT(player.hashes_checked(), 0u);
    EXPECT_EQ((*playback)->machine().state_hash(), recorded.state);
    return player.hashes_checked();
  }

  static u64 asynchronous_moments(const std::string& directory) {
    auto reader = replay::RecordingReader::open(directory);
    EXPECT_TRUE(reader);
    u64 count = 0;
    while (const replay::Event* event = reader->next())
      count += std::holds_alternative<replay::SampledTime>(event->body) && event->moment.fingerprint;
    return count;
  }
};

constexpr u64 kKickIntervals[] = {50'000, 200'000, 700'000, 3'000'000, 10'000'000};  // ns
class GuestOnKvm : public RecordedOnKvm, public testing::WithParamInterface<std::tuple<const char*, u64>> {};

// Every recording replays in software, run and stepped, and on KVM, with all code there and with CPL 3 only.
TEST_P(GuestOnKvm, ReplaysOnBothEngines) {
  const auto [guest, kick_interval] = GetParam();
  const bool slow = rondo::slow_tests();
  const unsigned recordings = slow ? 300 / std::size(kGuests) / std::size(kKickIntervals) : 1;
  constexpr u64 kHashIntervals[] = {150, 31, 1, 200, 7};
  u64 asynchronous = 0, hashes = 0;
  for (unsigned i = 0; i < recordings; ++i) {
    const u64 interval = kick_interval + 977 * i;
    SCOPED_TRACE("kicked every " + std::to_string(interval) + " ns, recording " + std::to_string(i));
    const Directory directory;
    const Recorded recorded =
        record(guest, interval, directory.recording(), i % 2 == 0, kHashIntervals[i % std::size(kHashIntervals)]);
    EXPECT_EQ(recorded.result.reason, ExitReason::debug_exit);
    EXPECT_EQ(recorded.result.debug_exit_code, 1u);
    hashes += expect_replays(directory.recording(), recorded, Drive::run);
    expect_replays(directory.recording(), recorded, Drive::kvm, interval);
    expect_replays(directory.recording(), recorded, Drive::user_on_kvm, interval);
    // The slow reference drive.
    if (slow || guest == std::string("kvm_devices")) expect_replays(directory.recording(), recorded, Drive::step);
    asynchronous += asynchronous_moments(directory.recording());
    if (HasFailure()) return;
  }
  RecordProperty("asynchronous_moments", static_cast<int>(asynchronous));
  RecordProperty("state_hashes", static_cast<int>(hashes));
}

INSTANTIATE_TEST_SUITE_P(Guests, GuestOnKvm,
                         testing::Combine(testing::ValuesIn(kGuests), testing::ValuesIn(kKickIntervals)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_kicked_every_" +
                                  std::to_string(std::get<1>(test.param) / 1000) + "_us";
                         });

// A program that reads the time stamp counter, which KVM does not log: the replay stops there and says so.
TEST_F(RecordedOnKvm, UnloggedTimeStampIsNamed) {
  const Directory directory;
  const Recorded recorded = record("kvm_rdtsc", 1'000'000, directory.recording());
  EXPECT_EQ(recorded.result.reason, ExitReason::debug_exit);
  auto playback = recordings::Playback::open(directory.recording(), nullptr);
  ASSERT_TRUE(playback) << playback.error().message;
  const auto end = (*playback)->seek({});
  ASSERT_TRUE(end) << end.error().message;
  ASSERT_EQ(*end, PlayEnd::diverged);
  EXPECT_NE((*playback)->player().divergence()->what.find("the guest reads the time stamp counter at RIP 0x"),
            std::string::npos)
      << (*playback)->player().divergence()->what;
}

// Kicked again and again where flags are undefined: they are part of the Moment's name, and of the frames on the
// kernel's stack.
TEST_F(RecordedOnKvm, UndefinedFlagsReplay) {
  const auto profile = doctor::examine_host();
  if (!profile.facts || !profile.facts->undefined_flags)
    GTEST_SKIP() << "the flags that this processor leaves are not those of the CPU model";
  u64 asynchronous = 0;
  for (const u64 interval : {50'000, 70'000, 1'000'000}) {
    const Directory directory;
    const Recorded recorded = record("kvm_flags", interval, directory.recording(), false);
    EXPECT_EQ(recorded.result.debug_exit_code, 1u) << recorded.console;
    for (const Drive drive : {Drive::run, Drive::user_on_kvm})
      expect_replays(directory.recording(), recorded, drive, interval);
    asynchronous += asynchronous_moments(directory.recording());
    if (HasFailure()) return;
  }
  EXPECT_GT(asynchronous, 0u);
}

// A result that is every processor's own: if the replay differs, it names the instruction.
TEST_F(RecordedOnKvm, ApproximationIsNamed) {
  const Directory directory;
  const Recorded recorded = record("kvm_rsqrt", 1'000'000, directory.recording(), false);
  EXPECT_EQ(recorded.result.reason, ExitReason::debug_exit);
  auto playback = recordings::Playback::open(directory.recording(), nullptr);
  ASSERT_TRUE(playback) << playback.error().message;
  const auto end = (*playback)->seek({});
  ASSERT_TRUE(end) << end.error().message;
  if (*end == PlayEnd::complete) return;
  ASSERT_EQ(*end, PlayEnd::diverged);
  EXPECT_NE((*playback)->player().divergence()->what.find("its RSQRTSS at RIP 0x"), std::string::npos)
      << (*playback)->player().divergence()->what;
}

// Time stamps at CPL 0 that were replaced in the text: logged, whoever executes them, and the replay has the same text.
TEST_F(RecordedOnKvm, PatchedTimeStampsReplay) {
  u64 asynchronous = 0;
  for (const u64 interval : {50'000, 300'000, 2'000'000}) {
    for (const bool everything_on_kvm : {true, false}) {
      SCOPED_TRACE("kicked every " + std::to_string(interval) + " ns" + (everything_on_kvm ? ", all on KVM" : ""));
      const Directory directory;
      const Recorded recorded = record("kvm_time", interval, directory.recording(), everything_on_kvm, 200, true);
      EXPECT_EQ(recorded.result.reason, ExitReason::debug_exit);
      EXPECT_EQ(recorded.result.debug_exit_code, 1u) << recorded.console;
      for (const Drive drive : {Drive::run, Drive::step, Drive::kvm, Drive::user_on_kvm})
        expect_replays(directory.recording(), recorded, drive, interval);
      asynchronous += asynchronous_moments(directory.recording());
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(asynchronous, 0u);
}

// Unpatched, everything on KVM: what was not logged is named.
TEST_F(RecordedOnKvm, UnpatchedTimeStampsAreNamed) {
  const Directory directory;
  record("kvm_time", 1'000'000, directory.recording());
  auto playback = recordings::Playback::open(directory.recording(), nullptr);
  ASSERT_TRUE(playback) << playback.error().message;
  ASSERT_EQ((*playback)->seek({}).value(), PlayEnd::diverged);
  EXPECT_NE((*playback)->player().divergence()->what.find("time stamp counter"), std::string::npos);
}

// The software engine alone.
TEST(PatchedText, TimeStampsInSoftware) {
  const auto end_of = [](bool patched, bool single_step) {
    BoardConfig config;
    config.memory_bytes = u64{8} << 20;
    config.kernel = Image::read(guest_path("kvm_time"), "kernel").value();
    if (patched) config.text_patches = time_stamp_sites(config.kernel.bytes);
    EXPECT_EQ(config.text_patches.size(), patched ? 6u : 0u);
    auto board = Board::create(config).value();
    RunLimits limits;
    limits.instructions = InstrCount{200'000'000};
    limits.single_step = single_step;
    const RunResult result = board->machine().run(limits);
    EXPECT_EQ(result.reason, ExitReason::debug_exit);
    EXPECT_EQ(result.debug_exit_code, 1u);
    auto hashes = board->machine().component_hashes();
    std::erase_if(hashes, [](const auto& component) { return component.first == "memory"; });
    return std::pair(hashes, board->machine().state_hash());
  };
  const auto plain = end_of(false, false), patched = end_of(true, false), stepped = end_of(true, true);
  EXPECT_EQ(plain.first, patched.first);  // all but the text
  EXPECT_NE(plain.second, patched.second);
  EXPECT_EQ(patched.second, stepped.second);
}

// The first `events` of a recording, as if its writer had died then.
std::string cut(const std::string& directory, u64 events, const std::string& copy) {
  auto reader = replay::RecordingReader::open(directory);
  EXPECT_TRUE(reader);
  auto writer = replay::RecordingWriter::create(copy, reader->manifest());
  EXPECT_TRUE(writer) << writer.error().message;
  for (u64 n = 0; n < events; ++n) {
    const replay::Event* event = reader->next();
    EXPECT_TRUE(event && writer->append(event->moment, event->body));
  }
  std::filesystem::copy(directory + "/blobs", copy + "/blobs",
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  return copy;
}

// A writer may die between any two events, also between those of one instruction: its recording is cut off, not wrong.
TEST_F(RecordedOnKvm, EveryPrefixReplays) {
  const Directory directory;
  record("kvm_strings", 200'000, directory.recording(), false);
  auto reader = replay::RecordingReader::open(directory.recording());
  ASSERT_TRUE(reader);
  const bool slow = rondo::slow_tests();
  const u64 events = reader->check().events;
  u64 torn = 0, n = 0;
  std::optional<VirtualNs> before;
  for (const replay::Event* event; (event = reader->next()) && n + 1 < events; ++n) {
    const bool joined = before && event->moment.time == *before;
    before = event->moment.time;
    const u64 step = joined && torn < 5 ? 7 : events / 4 + 1;
    if (n % (slow ? 13 : step) != 0) continue;
    torn += joined;
    const std::string copy = cut(directory.recording(), n, directory.path + "/cut");
    auto playback = recordings::Playback::open(copy, nullptr);
    ASSERT_TRUE(playback) << playback.error().message;
    const auto end = (*playback)->seek({});
    ASSERT_TRUE(end) << end.error().message;
    const replay::Player& player = (*playback)->player();
    ASSERT_EQ(*end, PlayEnd::cut_off) << n << ": " << (player.divergence() ? player.divergence()->what : "");
    std::filesystem::remove_all(copy);
  }
  EXPECT_GT(torn, 0u);
}

// Any Moment is reached from its checkpoint, too.
TEST_F(RecordedOnKvm, SeeksFromCheckpoints) {
  const Directory directory;
  record("kvm_tasks", 200'000, directory.recording());
  auto straight = recordings::Playback::open(directory.recording(), nullptr);
  auto sought = recordings::Playback::open(directory.recording(), nullptr);
  ASSERT_TRUE(straight && sought);
  auto end = (*straight)->resolve({recordings::MomentName::Kind::end, 1, false});
  ASSERT_TRUE(end) << end.error().message;
  const u64 last = end->count->value;
  for (const u64 count : {last / 4, last / 2, last - 10}) {
    ASSERT_EQ((*straight)->player().play({.count = InstrCount{count}}), PlayEnd::target);
    const auto there = (*sought)->seek({.count = InstrCount{count}});
    ASSERT_TRUE(there) << there.error().message;
    ASSERT_EQ(*there, PlayEnd::target);
    EXPECT_EQ((*sought)->machine().component_hashes(), (*straight)->machine().component_hashes());
  }
}

}  // namespace
}  // namespace rondo
