// Guests recorded on KVM, at many kick intervals: every recording replays in software and on KVM to the same
// hashes at every checkpoint and the same end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/kvm/system.h"
#include "harness/kvm/plan.h"
#include "harness/recordings/playback.h"
#include "harness/recordings/start.h"
#include "replay/recorder.h"

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

struct Recorded {
  RunResult result;
  std::string state;
};

std::string guest_path(const std::string& name) { return std::string(RONDO_GUESTS) + "/" + name + ".elf"; }

class RecordedOnKvm : public testing::Test {
 protected:
  void SetUp() override {
    const auto opened = kvm::System::open();
    if (!opened.system) GTEST_SKIP() << "no KVM: " << opened.error.message;
  }

  // `everything_on_kvm`: else only CPL 3 (core/kvm/user_view.h).
  Recorded record(const std::string& guest, u64 kick_ns, const std::string& directory, bool everything_on_kvm = true) {
    Recorded recorded;
    HostTimeSource time;
    HostKicker kicker(kick_ns);
    replay::ConsoleDigest console(nullptr);
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
    auto board = Board::create(config);
    EXPECT_TRUE(board) << board.error().message;
    if (!board) return recorded;
    Machine& machine = (*board)->machine();
    auto writer =
        recordings::start_recording(directory, **board, config, {.hash_interval = 200, .checkpoint_interval = 400}, {});
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
    std::optional<u32> code;
    if (recorded.result.reason == ExitReason::debug_exit) code = recorded.result.debug_exit_code;
    const Status finished = recorder.finish(std::string(to_string(recorded.result.reason)), code);
    EXPECT_TRUE(finished) << finished.error().message;
    return recorded;
  }

  static void expect_replays(const std::string& directory, const Recorded& recorded, Drive drive,
                             u64 kick_ns = kKickEveryNs) {
    SCOPED_TRACE(kDriveNames[static_cast<unsigned>(drive)]);
    HostKicker kicker(kick_ns);
    std::optional<KvmSettings> kvm;
    if (drive == Drive::kvm || drive == Drive::user_on_kvm)
      kvm = KvmSettings{.kicker = &kicker, .supervisor_in_software = drive == Drive::user_on_kvm};
    auto playback = recordings::Playback::open(directory, nullptr, kvm);
    ASSERT_TRUE(playback) << playback.error().message;
    const auto end = (*playback)->seek({.single_step = drive == Drive::step});
    ASSERT_TRUE(end) << end.error().message;
    const replay::Player& player = (*playback)->player();
    ASSERT_EQ(*end, PlayEnd::complete) << (player.divergence() ? player.divergence()->what : "")
                                       << (player.error() ? player.error()->message : "");
    EXPECT_GT(player.hashes_checked(), 1u);
    EXPECT_EQ((*playback)->machine().state_hash(), recorded.state);
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

TEST_F(RecordedOnKvm, ReplaysOnBothEngines) {
  const bool slow = std::getenv("RONDO_SLOW_TESTS") != nullptr;
  const unsigned recordings = slow ? 300 : 6;
  // From 50 us to 10 ms.
  constexpr u64 kIntervals[] = {50'000, 200'000, 500'000, 1'000'000, 3'000'000, 10'000'000};
  u64 asynchronous = 0;
  for (unsigned i = 0; i < recordings; ++i) {
    const std::string guest = i % 2 ? "kvm_tasks" : "kvm_devices";
    const u64 interval = kIntervals[i % std::size(kIntervals)] + 977 * (i / std::size(kIntervals));
    SCOPED_TRACE(guest + ", kicked every " + std::to_string(interval) + " ns, recording " + std::to_string(i));
    const Directory directory;
    const Recorded recorded = record(guest, interval, directory.recording(), i % 4 < 2);
    EXPECT_EQ(recorded.result.reason, ExitReason::debug_exit);
    EXPECT_EQ(recorded.result.debug_exit_code, 1u);
    expect_replays(directory.recording(), recorded, Drive::run);
    expect_replays(directory.recording(), recorded, Drive::kvm, interval);
    expect_replays(directory.recording(), recorded, Drive::user_on_kvm, interval);
    // Stepping is the slow reference drive.
    if (guest == "kvm_devices" || (slow && i % 12 == 1)) expect_replays(directory.recording(), recorded, Drive::step);
    asynchronous += asynchronous_moments(directory.recording());
    if (HasFailure()) return;
  }
  EXPECT_GT(asynchronous, 0u);
  RecordProperty("asynchronous_moments", static_cast<int>(asynchronous));
}

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
