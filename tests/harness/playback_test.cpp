// Replays from the start and from checkpoints are held to every byte of the console.
#include "harness/recordings/playback.h"

#include <gtest/gtest.h>

#include <functional>

#include "harness/recordings/describe.h"
#include "replay/recorder.h"
#include "tests/harness/images.h"
#include "tests/replay/format/recordings.h"

namespace rondo::recordings {
namespace {

using replay::PlayEnd;
using replay::StateHash;
using replay::test::TemporaryFolder;

// Writes a byte to the serial port every two hundred instructions or so.
images::Bytes kernel() {
  constexpr u32 kAt = 0x100000, kMagic = 0x1badb002, kFlags = 0x10003;
  images::Bytes bytes;
  for (const u32 field : {kMagic, kFlags, 0 - (kMagic + kFlags), kAt, kAt, u32{0}, u32{0}, kAt + 32}) {
    images::put(bytes, bytes.size(), field);
  }
  for (const u8 byte : {0x66, 0xba, 0xf8, 0x03,        // mov dx, 0x3f8
                        0xee,                          // out dx, al
                        0xfe, 0xc0,                    // inc al
                        0xb9, 0xc8, 0x00, 0x00, 0x00,  // mov ecx, 200
                        0xe2, 0xfe,                    // loop .
                        0xeb, 0xf4})                   // jmp to the OUT
    bytes.push_back(byte);
  return bytes;
}

constexpr u64 kEnd = 100'000;

class PlaybackTest : public ::testing::Test {
 protected:
  PlaybackTest() { record(); }

  void record() {
    BoardConfig config;
    config.memory_bytes = u64{4} << 20;
    config.kernel = Image::of("kernel", kernel());
    replay::ConsoleDigest digest(nullptr);
    config.console = &digest;
    const auto board = Board::create(config).value();
    replay::Manifest manifest =
        describe(*board, config, {.hash_interval = 10'000, .checkpoint_interval = 30'000}, "test");
    const std::vector<replay::NewImage> images = {{"kernel", "kernel", config.kernel.bytes}};
    auto writer = replay::RecordingWriter::create(good_, manifest, images).value();
    manifest = writer.manifest();
    PollingDoor live(5'000, [](auto) { return true; });
    replay::CheckpointSettings settings;
    settings.interval = 30'000;
    settings.recording_id = manifest.recording_id;
    replay::Recorder recorder(board->machine(), *board, live, digest, std::move(writer));
    recorder.add_checkpoints(replay::CheckpointWriter::create(good_, settings).value());
    RunLimits limits;
    limits.instructions = InstrCount{kEnd};
    board->machine().run(limits, &recorder);
    ASSERT_TRUE(recorder.finish("instruction_limit", std::nullopt));
  }

  // The recording again, with events changed on the way. `change` may give what else is to be said after an event.
  using Change = std::function<std::optional<replay::EventBody>(replay::Event&)>;
  std::string changed(const std::string& name, const Change& change) {
    const std::string copy = folder_ / name;
    auto reader = replay::RecordingReader::open(good_).value();
    auto writer = replay::RecordingWriter::create(copy, reader.manifest(), {}).value();
    for (const char* part : {"/blobs", "/checkpoints"})
      std::filesystem::copy(good_ + part, copy + part, std::filesystem::copy_options::recursive);
    while (const replay::Event* read = reader.next()) {
      replay::Event event = *read;
      const auto more = change(event);
      if (const auto* end = std::get_if<replay::End>(&event.body)) {
        EXPECT_TRUE(writer.finish(event.moment, *end));
        break;
      }
      EXPECT_TRUE(writer.append(event.moment, event.body));
      if (more) {
        EXPECT_TRUE(writer.append(event.moment, *more));
      }
    }
    return copy;
  }

  TemporaryFolder folder_;
  const std::string good_ = folder_ / "good";
};

// One byte of what the guest wrote between 50,000 and 60,000 is another.
std::optional<replay::EventBody> another_byte(replay::Event& event) {
  auto* hash = std::get_if<StateHash>(&event.body);
  if (!hash || event.moment.count != InstrCount{60'000}) return {};
  EXPECT_TRUE(hash->console && hash->console->bytes >= 49 && hash->console->bytes <= 51);
  hash->console->hash.low ^= 1;
  return {};
}

void play_to_the_end(Playback& playback, u64 hashes) {
  EXPECT_EQ(playback.seek({}).value(), PlayEnd::complete);
  EXPECT_EQ(playback.player().hashes_checked(), hashes);
}

// A recording says which text was replaced; what cannot have been is refused.
TEST_F(PlaybackTest, TextPatchesAreHeldAgainstTheKernel) {
  const auto patched = [this](const std::string& name, const replay::TextPatch& patch) {
    const std::string copy = folder_ / name;
    replay::Manifest manifest = replay::RecordingReader::open(good_).value().manifest();
    manifest.machine.text_patches = {patch};
    EXPECT_TRUE(replay::RecordingWriter::create(copy, manifest, {}));
    std::filesystem::copy(good_ + "/blobs", copy + "/blobs", std::filesystem::copy_options::recursive);
    return Playback::open(copy, nullptr);
  };
  constexpr u64 kLoop = 0x100000 + 39;  // mov ecx, 200
  const auto applied = patched("applied", {kLoop, {0xb9, 0xc8}, {0xb9, 0x10}});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(*(*applied)->machine().memory().host(GuestPhys{kLoop + 1}), 0x10);
  const auto other = patched("other", {kLoop, {0xb9, 0xc9}, {0xb9, 0x10}});
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("0x100027 is not what was patched"), std::string::npos) << other.error().message;
  for (const u64 address : {u64{4} << 20, (u64{4} << 20) - 1, ~u64{0}}) {
    const auto outside = patched("outside" + std::to_string(address), {address, {0, 0}, {1, 1}});
    ASSERT_FALSE(outside);
    EXPECT_NE(outside.error().message.find("outside memory"), std::string::npos) << outside.error().message;
  }
  // Not instructions at all.
  for (const replay::TextPatch& bad :
       std::initializer_list<replay::TextPatch>{{kLoop, {}, {}},
                                                {kLoop, {0xb9}, {}},
                                                {kLoop, {0xb9}, {1, 2}},
                                                {kLoop, std::vector<u8>(16), std::vector<u8>(16)}}) {
    const auto refused = patched("bad" + std::to_string(bad.original.size() * 32 + bad.replacement.size()), bad);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("is damaged"), std::string::npos) << refused.error().message;
  }
}

TEST_F(PlaybackTest, AllOfIt) {
  const auto playback = Playback::open(good_, nullptr).value();
  play_to_the_end(*playback, 10);
}

TEST_F(PlaybackTest, FromEachCheckpoint) {
  for (const u64 from : {30'000, 60'000, 90'000}) {
    const auto playback = Playback::open(good_, nullptr).value();
    EXPECT_EQ(playback->seek({.count = InstrCount{from + 1'234}}).value(), PlayEnd::target);
    play_to_the_end(*playback, (kEnd - from) / 10'000);
  }
}

TEST_F(PlaybackTest, BackAndForth) {
  const auto playback = Playback::open(good_, nullptr).value();
  for (const u64 to : {45'000, 95'000, 15'000, 65'000, 0, 30'000}) {
    EXPECT_EQ(playback->seek({.count = InstrCount{to}}).value(), PlayEnd::target);
    EXPECT_EQ(playback->machine().clock().count(), InstrCount{to});
  }
  EXPECT_EQ(playback->seek({}).value(), PlayEnd::complete);
}

TEST_F(PlaybackTest, AnotherByteOnTheConsoleIsNoticed) {
  const std::string bad = changed("bad", another_byte);
  for (const u64 from : {0, 45'000, 59'999}) {
    const auto playback = Playback::open(bad, nullptr).value();
    ASSERT_EQ(playback->seek({.count = InstrCount{from}}).value(), PlayEnd::target);
    ASSERT_EQ(playback->seek({}).value(), PlayEnd::diverged) << from;
    const auto& divergence = *playback->player().divergence();
    EXPECT_EQ(divergence.found.count, InstrCount{60'000});
    EXPECT_EQ(divergence.last_equal, InstrCount{50'000});
    EXPECT_EQ(divergence.components, std::vector<std::string>{"console output"});
  }
}

TEST_F(PlaybackTest, OutputBeforeTheCheckpointIsNotLookedAt) {
  const std::string bad = changed("bad", another_byte);
  const auto playback = Playback::open(bad, nullptr).value();
  EXPECT_EQ(playback->seek({.count = InstrCount{70'000}}).value(), PlayEnd::target);
  EXPECT_EQ(playback->seek({}).value(), PlayEnd::complete);
}

TEST_F(PlaybackTest, RecordingsWithoutPiecesAreComparedAtTheEnd) {
  const auto without = [](replay::Event& event) -> std::optional<replay::EventBody> {
    if (auto* hash = std::get_if<StateHash>(&event.body)) hash->console.reset();
    return {};
  };
  const auto playback = Playback::open(changed("old", without), nullptr).value();
  EXPECT_EQ(playback->seek({}).value(), PlayEnd::complete);
  const auto other_end = [&](replay::Event& event) {
    if (auto* end = std::get_if<replay::End>(&event.body)) ++end->console_bytes;
    return without(event);
  };
  const auto longer = Playback::open(changed("longer", other_end), nullptr).value();
  EXPECT_EQ(longer->seek({}).value(), PlayEnd::diverged);
}

TEST_F(PlaybackTest, RemarksChangeNothing) {
  const auto remark = [](replay::Event& event) -> std::optional<replay::EventBody> {
    if (event.number != 3) return {};
    return replay::Remark{"no room"};
  };
  const auto playback = Playback::open(changed("remarked", remark), nullptr).value();
  play_to_the_end(*playback, 10);
}

// A replay that never comes to the registers of an asynchronous Moment, in a guest that has no events: somebody must be
// able to stop it.
TEST(PlaybackOfSampledTime, SearchInVainCanBeStopped) {
  const TemporaryFolder folder;
  const std::string path = folder / "astray";
  BoardConfig config;
  config.memory_bytes = u64{4} << 20;
  images::Bytes bytes = kernel();
  bytes.resize(32);
  for (const u8 byte : {0xeb, 0xfe}) bytes.push_back(byte);  // jmp .
  config.kernel = Image::of("kernel", bytes);
  const auto board = Board::create(config).value();
  replay::Manifest manifest = describe(*board, config, {}, "test");
  manifest.machine.engine = kOnKvm;
  {
    const std::vector<replay::NewImage> images = {{"kernel", "kernel", config.kernel.bytes}};
    auto writer = replay::RecordingWriter::create(path, manifest, images).value();
    replay::Moment nowhere;
    nowhere.rip = 0x100020;
    nowhere.rcx = 12345;
    nowhere.synchronous = 0;
    nowhere.fingerprint = replay::Fingerprint{{1, 2}, {3, 4}};
    ASSERT_TRUE(writer.append(nowhere, replay::SampledTime{VirtualNs{1000}}));
    ASSERT_TRUE(writer.flush());
  }
  const auto playback = Playback::open(path, nullptr).value();
  int asked = 0;
  playback->player().on_progress(64, [&] { return ++asked < 3; });
  EXPECT_EQ(playback->seek({}).value(), PlayEnd::target);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace rondo::recordings
