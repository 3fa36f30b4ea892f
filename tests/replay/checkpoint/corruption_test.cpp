// Damaged checkpoints: a clear error, or an earlier checkpoint, or exactly the right pages; never anything else.
#include <gtest/gtest.h>

#include "replay/checkpoint/store.h"
#include "replay/checkpoint/writer.h"
#include "replay/format/digest.h"
#include "replay/format/envelope.h"
#include "tests/replay/checkpoint/fake_machine.h"
#include "tests/replay/corruption.h"

namespace rondo::replay {
namespace {

using Files = std::map<u64, std::vector<u8>>;  // by count

// A small recording's checkpoints, some of them merged; and what they must give.
struct Original {
  RecordingFolder folder;
  Written written;
  Files files;

  Original(u64 seed, const std::string& id) {
    CheckpointSettings settings = checkpoint_settings(1000, 4, 2);
    settings.recording_id = id;
    auto writer = CheckpointWriter::create(folder.path(), settings);
    FakeMachine machine(48, seed);
    for (int i = 0; i < 7; ++i) {
      machine.run(16);
      written[machine.count().value] = {machine.snapshot(), machine.info()};
      writer->add(machine.snapshot(), machine.info());
    }
    EXPECT_TRUE(writer->finish());
    for (const auto& [count, snapshot] : written) {
      const std::vector<u8> bytes = test::slurp(folder.checkpoint(count));
      if (!bytes.empty()) files[count] = bytes;
    }
  }
};

// As a new file: some file systems bring one that is truncated and written again to the disk at once.
void replace(const std::string& path, const std::vector<u8>& bytes) {
  std::filesystem::remove(path);
  test::spit(path, bytes);
}

class CheckpointCorruption : public ::testing::Test {
 protected:
  // Loads everything that can be loaded and compares it. Returns how many there were.
  u64 expect_right_or_refused(u64 iteration) {
    auto store = CheckpointStore::open(original_.folder.path(), store_options_for_tests());
    if (!store) {
      ADD_FAILURE() << store.error().message;
      return 0;
    }
    u64 right = 0;
    for (const StoredCheckpoint& checkpoint : std::vector(store->checkpoints())) {
      const auto loaded = store->load(checkpoint.number);
      if (!loaded) {
        EXPECT_NE(loaded.error().message.find(".ckpt"), std::string::npos) << loaded.error().message;
        continue;
      }
      const auto expected = original_.written.find(loaded->info.moment.count.value);
      if (expected == original_.written.end()) {
        ADD_FAILURE() << "iteration " << iteration << ": a checkpoint that was never taken";
        continue;
      }
      const auto& [snapshot, info] = expected->second;
      EXPECT_EQ(loaded->info, info) << "iteration " << iteration;
      EXPECT_EQ(loaded->snapshot.state, snapshot.state) << "iteration " << iteration;
      EXPECT_EQ(difference(loaded->snapshot.memory, snapshot.memory), "") << "iteration " << iteration;
      ++right;
    }
    for (const std::string& problem : store->problems()) EXPECT_EQ(problem.find('\n'), std::string::npos);
    return right;
  }

  Original original_{1, "recording"};
  Original other_{2, "another"};
};

u64 iterations(u64 quick, u64 slow) { return test::slow_tests() ? slow : quick; }

TEST_F(CheckpointCorruption, RandomDamage) {
  test::Corruptor corruptor(1);
  ASSERT_EQ(expect_right_or_refused(0), original_.files.size());
  const auto pick = [&](const Files& files) { return std::next(files.begin(), corruptor.below(files.size())); };
  u64 loaded = 0;
  const u64 many = iterations(2000, 100'000);
  for (u64 i = 1; i <= many && !HasFailure(); ++i) {
    const auto victim = pick(original_.files);
    const std::string path = original_.folder.checkpoint(victim->first);
    const auto donor = pick(corruptor.below(2) ? original_.files : other_.files);
    switch (corruptor.below(16)) {
      case 0:
        std::filesystem::remove(path);
        break;
      case 1:
        replace(path, donor->second);
        break;
      default:
        replace(path, corruptor.damage(victim->second, donor->second));
    }
    loaded += expect_right_or_refused(i);
    replace(path, victim->second);
  }
  EXPECT_GT(loaded, many / 4);  // damage leaves what does not need it
  EXPECT_EQ(expect_right_or_refused(0), original_.files.size());
}

// Puts a digest where the head expects it, so that what lies behind it is reached.
void mend(std::vector<u8>& file, u64 head_offset) {
  const std::span<u8> envelope = std::span(file).subspan(head_offset, file.size() - kTrailerBytes - head_offset);
  const u64 digest = digest64(envelope.subspan(kEnvelopeBytes), digest64(envelope.first(kEnvelopeBytes - 8)));
  std::memcpy(envelope.data() + kEnvelopeBytes - 8, &digest, sizeof digest);
}

// Heads that say anything under a digest that is right: whoever makes such a thing can make a wrong checkpoint, so this
// is about staying alive.
TEST_F(CheckpointCorruption, HeadsMadeUp) {
  test::Corruptor corruptor(2);
  const u64 many = iterations(2000, 100'000);
  for (u64 i = 0; i < many; ++i) {
    const auto victim = std::next(original_.files.begin(), corruptor.below(original_.files.size()));
    const std::string path = original_.folder.checkpoint(victim->first);
    std::vector<u8> bytes = victim->second;
    u64 head_offset = 0;
    std::memcpy(&head_offset, bytes.data() + bytes.size() - kTrailerBytes, sizeof head_offset);
    const u64 start = head_offset + kEnvelopeBytes, size = bytes.size() - kTrailerBytes - start;
    for (u64 changes = 1 + corruptor.below(4); changes > 0; --changes) {
      u8& byte = bytes[start + corruptor.below(size)];
      byte = corruptor.below(2) ? static_cast<u8>(byte ^ (1 << corruptor.below(8)))
                                : static_cast<u8>(corruptor.below(256));
    }
    mend(bytes, head_offset);
    replace(path, bytes);
    auto store = CheckpointStore::open(original_.folder.path(), store_options_for_tests());
    ASSERT_TRUE(store);
    for (const StoredCheckpoint& checkpoint : std::vector(store->checkpoints())) (void)store->load(checkpoint.number);
    replace(path, victim->second);
  }
}

// Tables that say anything under hashes that are right.
TEST_F(CheckpointCorruption, TablesMadeUp) {
  test::Corruptor corruptor(3);
  const u64 many = iterations(2000, 100'000);
  for (u64 i = 1; i <= many && !HasFailure(); ++i) {
    const auto victim = std::next(original_.files.begin(), corruptor.below(original_.files.size()));
    const std::string path = original_.folder.checkpoint(victim->first);
    auto opened = CheckpointFile::open(*FileBytes::open(path), path);
    ASSERT_TRUE(opened);
    CheckpointHead head = opened->head();
    CheckpointPart& part = corruptor.below(2) ? head.pages : head.contents;
    const auto table = std::span(victim->second).subspan(part.offset, part.bytes);
    std::vector<u8> damaged = corruptor.damage({table.begin(), table.end()}, victim->second);
    // The same file with this table at its end.
    std::vector<u8> bytes(
        victim->second.begin(),
        victim->second.begin() + static_cast<std::ptrdiff_t>(head.contents.offset + head.contents.bytes));
    part = {bytes.size(), damaged.size(), hash128(damaged)};
    bytes.insert(bytes.end(), damaged.begin(), damaged.end());
    const u64 head_offset = bytes.size();
    const std::vector<u8> envelope = encode_head(head);
    bytes.insert(bytes.end(), envelope.begin(), envelope.end());
    const u64 trailer[] = {head_offset, bytes.size() + kTrailerBytes};
    bytes.insert(bytes.end(), reinterpret_cast<const u8*>(trailer), reinterpret_cast<const u8*>(trailer + 2));
    replace(path, bytes);
    expect_right_or_refused(i);
    replace(path, victim->second);
  }
}

}  // namespace
}  // namespace rondo::replay
