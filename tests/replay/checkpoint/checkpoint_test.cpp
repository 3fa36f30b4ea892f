// Checkpoints written and read again: the same machine at every retained Moment, whatever was merged in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "replay/checkpoint/store.h"
#include "replay/checkpoint/writer.h"
#include "replay/format/digest.h"
#include "replay/format/envelope.h"
#include "tests/replay/checkpoint/fake_machine.h"

namespace rondo::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Checkpoints : public ::testing::Test {
 protected:
  CheckpointWriter writer(const CheckpointSettings& settings = checkpoint_settings(1000, 64, 2)) {
    auto made = CheckpointWriter::create(folder_.path(), settings);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  CheckpointStore store(const StoreOptions& options = store_options_for_tests()) {
    auto opened = CheckpointStore::open(folder_.path(), options);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  void take(CheckpointWriter& writer, FakeMachine& machine) {
    EXPECT_TRUE(writer.add(machine.snapshot(), machine.info()));
    written_[machine.count().value] = {machine.snapshot(), machine.info()};
  }
  void expect_all_right(CheckpointStore& store) {
    EXPECT_THAT(store.problems(), IsEmpty());
    for (const StoredCheckpoint& checkpoint : std::vector(store.checkpoints())) {
      const auto& [snapshot, info] = written_.at(checkpoint.info.moment.count.value);
      auto loaded = store.load(checkpoint.number);
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ(loaded->number, checkpoint.number);
      EXPECT_EQ(loaded->info, info);
      EXPECT_EQ(checkpoint.info, info);
      EXPECT_EQ(loaded->snapshot.state, snapshot.state);
      EXPECT_EQ(loaded->snapshot.memory_bytes, snapshot.memory_bytes);
      EXPECT_EQ(loaded->snapshot.count, snapshot.count);
      EXPECT_EQ(loaded->snapshot.time, snapshot.time);
      EXPECT_EQ(difference(loaded->snapshot.memory, snapshot.memory), "");
    }
  }
  RecordingFolder folder_;
  Written written_;
};

TEST_F(Checkpoints, NoneAtAll) {
  CheckpointStore empty = store();
  EXPECT_THAT(empty.checkpoints(), IsEmpty());
  EXPECT_THAT(empty.problems(), IsEmpty());
  EXPECT_EQ(empty.nearest_at_or_before(InstrCount{~u64{0}}), nullptr);
  EXPECT_FALSE(empty.load_at_or_before(InstrCount{5}));
  EXPECT_FALSE(empty.load(1));
}

TEST_F(Checkpoints, WrittenAndReadAgain) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  for (int i = 0; i < 10; ++i) {
    machine.run(40);
    take(out, machine);
  }
  ASSERT_TRUE(out.finish());
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), SizeIs(10));
  expect_all_right(in);
  EXPECT_EQ(in.nearest_at_or_before(InstrCount{999}), nullptr);
  EXPECT_EQ(in.nearest_at_or_before(InstrCount{1000})->info.moment.count, InstrCount{1000});
  EXPECT_EQ(in.nearest_at_or_before(InstrCount{2999})->info.moment.count, InstrCount{2000});
  EXPECT_EQ(in.load_at_or_before(InstrCount{~u64{0}})->info.moment.count, machine.count());
}

TEST_F(Checkpoints, AnEmptyMachineAndOneThatBecomesEmpty) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  take(out, machine);
  machine.run(40);
  take(out, machine);
  machine.run(0);
  machine.memory() = PageMap();
  take(out, machine);
  ASSERT_TRUE(out.finish());
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), SizeIs(3));
  expect_all_right(in);
}

TEST_F(Checkpoints, ThinnedOutWhileTheyGrow) {
  for (const u32 keep : {2u, 3u, 8u}) {
    RecordingFolder folder;
    auto out = CheckpointWriter::create(folder.path(), checkpoint_settings(1000, keep, 1));
    ASSERT_TRUE(out);
    FakeMachine machine(128, keep);
    for (int i = 0; i < 60; ++i) {
      machine.run(i % 7 == 0 ? 100 : 10);
      written_[machine.count().value] = {machine.snapshot(), machine.info()};
      if (machine.count() != out->next(machine.count() - 1) && i % 5 != 0) continue;
      EXPECT_TRUE(out->add(machine.snapshot(), machine.info()));
    }
    ASSERT_TRUE(out->finish());
    auto in = CheckpointStore::open(folder.path(), store_options_for_tests());
    ASSERT_TRUE(in);
    EXPECT_LE(in->checkpoints().size(), keep);
    EXPECT_GE(in->checkpoints().size(), keep / 2);
    expect_all_right(*in);
  }
}

TEST_F(Checkpoints, ContentsAreStoredOnce) {
  CheckpointWriter out = writer();
  FakeMachine machine(2000);
  machine.run(0);
  for (u64 i = 0; i < 1000; ++i) machine.write(i, i);
  take(out, machine);
  ASSERT_TRUE(out.finish());
  const u64 before = folder_.checkpoint_bytes();
  // The same contents elsewhere, and one of them many times.
  machine.run(0);
  for (u64 i = 0; i < 500; ++i) machine.write(1000 + i, i);
  for (u64 i = 500; i < 1000; ++i) machine.write(1000 + i, 1);
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), SizeIs(1));
  CheckpointWriter more = std::move(out);
  take(more, machine);
  ASSERT_TRUE(more.finish());
  EXPECT_LT(folder_.checkpoint_bytes() - before, 1000 * 24 + 4096);
  ASSERT_TRUE(in.refresh());
  EXPECT_THAT(in.checkpoints(), SizeIs(2));
  expect_all_right(in);
}

TEST_F(Checkpoints, WhatNobodyNeedsAnyMoreGoes) {
  // Every checkpoint has all pages new: when all but a few are merged away, so are their contents.
  CheckpointWriter out = writer(checkpoint_settings(1000, 4, 1));
  FakeMachine machine;
  u64 value = 100, largest = 0;
  for (int i = 0; i < 64; ++i) {
    machine.run(0);
    for (u64 page = 0; page < 256; ++page) machine.write(page, ++value);
    take(out, machine);
    ASSERT_TRUE(out.finish());
    largest = std::max(largest, folder_.checkpoint_bytes());
    if (i == 0) largest = 0;
  }
  const u64 one = std::filesystem::file_size(folder_.checkpoint(64000));
  EXPECT_LE(largest, 5 * one);
  CheckpointStore in = store();
  expect_all_right(in);
}

TEST_F(Checkpoints, LoadsShareTheirPages) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  machine.run(200);
  take(out, machine);
  machine.run(3);
  take(out, machine);
  ASSERT_TRUE(out.finish());
  CheckpointStore in = store();
  const auto first = in.load(1), second = in.load(2);
  u64 different = 0;
  second->snapshot.memory.for_each_difference(first->snapshot.memory,
                                              [&](u64, const Page*, const Page*) { ++different; });
  EXPECT_LE(different, 3u);
  EXPECT_GE(different, 1u);
}

TEST_F(Checkpoints, ASmallCacheChangesNothing) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  for (int i = 0; i < 5; ++i) {
    machine.run(100);
    take(out, machine);
  }
  ASSERT_TRUE(out.finish());
  for (const u64 bytes : {u64{0}, 10 * kPageSize}) {
    StoreOptions options = store_options_for_tests();
    options.cache_bytes = bytes;
    options.threads = 1;
    CheckpointStore in = store(options);
    expect_all_right(in);
    expect_all_right(in);
  }
}

TEST_F(Checkpoints, AtTheSameCountOnlyOnce) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  machine.run(10);
  take(out, machine);
  EXPECT_FALSE(out.add(machine.snapshot(), machine.info()));
  ASSERT_TRUE(out.finish());
  EXPECT_THAT(store().checkpoints(), SizeIs(1));
}

TEST_F(Checkpoints, TheFolderMustBeEmpty) {
  { CheckpointWriter first = writer(); }
  EXPECT_TRUE(CheckpointWriter::create(folder_.path()));
  std::ofstream(folder_.path() + "/checkpoints/something") << "x";
  const auto refused = CheckpointWriter::create(folder_.path());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("has files already"));
}

TEST_F(Checkpoints, ReadWhileTheyAreWrittenAndMerged) {
  CheckpointWriter out = writer(checkpoint_settings(1000, 4, 1));
  FakeMachine machine;
  CheckpointStore in = store();
  for (int i = 0; i < 40; ++i) {
    machine.run(50);
    take(out, machine);
    // Between refreshes the files that were seen stay loadable though they are merged meanwhile.
    if (i % 3 == 0) {
      ASSERT_TRUE(in.refresh());
    }
    expect_all_right(in);
  }
  ASSERT_TRUE(out.finish());
  ASSERT_TRUE(in.refresh());
  EXPECT_EQ(in.checkpoints().back().info.moment.count, machine.count());
  expect_all_right(in);
}

TEST_F(Checkpoints, OfAnotherMachineAreLeftOut) {
  CheckpointWriter out = writer();
  FakeMachine machine(256);
  machine.run(10);
  take(out, machine);
  ASSERT_TRUE(out.finish());
  Manifest manifest;
  manifest.recording_id = "recording";
  manifest.machine.memory_bytes = 256 * kPageSize;
  EXPECT_THAT(store(store_options(manifest)).checkpoints(), SizeIs(1));
  manifest.machine.memory_bytes = 512 * kPageSize;
  CheckpointStore larger = store(store_options(manifest));
  EXPECT_THAT(larger.checkpoints(), IsEmpty());
  ASSERT_THAT(larger.problems(), SizeIs(1));
  EXPECT_THAT(larger.problems()[0], HasSubstr("1048576 bytes of memory"));
  CheckpointStore other = store({});
  EXPECT_THAT(other.checkpoints(), IsEmpty());
  ASSERT_THAT(other.problems(), SizeIs(1));
  EXPECT_THAT(other.problems()[0], HasSubstr("of another recording"));
}

TEST_F(Checkpoints, MissingOneTakesThoseThatBuildOnIt) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  for (int i = 0; i < 6; ++i) {
    machine.run(30);
    take(out, machine);
  }
  ASSERT_TRUE(out.finish());
  std::filesystem::remove(folder_.checkpoint(3000));
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), SizeIs(2));
  ASSERT_THAT(in.problems(), SizeIs(3));
  EXPECT_THAT(in.problems()[0], HasSubstr(folder_.checkpoint(4000)));
  EXPECT_THAT(in.problems()[0], HasSubstr("checkpoint 3, on which it builds"));
  EXPECT_EQ(in.load_at_or_before(InstrCount{6000})->info.moment.count, InstrCount{2000});
}

TEST_F(Checkpoints, DamagedPagesAreNeverTakenForGood) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  machine.run(0);
  for (u64 page = 0; page < 256; ++page) machine.write(page, page + 1000);
  take(out, machine);
  machine.run(0);
  machine.write(0, 1);
  take(out, machine);
  ASSERT_TRUE(out.finish());
  {
    std::fstream damaged(folder_.checkpoint(2000), std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(8 + 40);  // in the only frame
    damaged.put('!').put('?');
  }
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), SizeIs(2));
  const auto loaded = in.load_at_or_before(InstrCount{2000});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->info.moment.count, InstrCount{1000});
  EXPECT_THAT(in.checkpoints(), SizeIs(1));
  ASSERT_THAT(in.problems(), SizeIs(1));
  EXPECT_THAT(in.problems()[0], HasSubstr(folder_.checkpoint(2000)));
  ASSERT_TRUE(in.refresh());
  EXPECT_THAT(in.checkpoints(), SizeIs(1));
  EXPECT_THAT(in.problems(), SizeIs(1));
}

TEST_F(Checkpoints, AnotherMajorVersionIsRefused) {
  CheckpointWriter out = writer();
  FakeMachine machine;
  machine.run(5);
  take(out, machine);
  ASSERT_TRUE(out.finish());
  std::vector<u8> bytes = test::slurp(folder_.checkpoint(1000));
  const std::string magic = "RONDOCKH";
  const auto head = std::search(bytes.begin(), bytes.end(), magic.begin(), magic.end());
  ASSERT_NE(head, bytes.end());
  const u64 at = static_cast<u64>(head - bytes.begin());
  ++bytes[at + 8];
  const std::span<const u8> envelope = std::span(bytes).subspan(at, bytes.size() - kTrailerBytes - at);
  const u64 digest = digest64(envelope.subspan(kEnvelopeBytes), digest64(envelope.first(kEnvelopeBytes - 8)));
  std::memcpy(bytes.data() + at + kEnvelopeBytes - 8, &digest, sizeof digest);
  test::spit(folder_.checkpoint(1000), bytes);
  CheckpointStore in = store();
  EXPECT_THAT(in.checkpoints(), IsEmpty());
  ASSERT_THAT(in.problems(), SizeIs(1));
  EXPECT_THAT(in.problems()[0], HasSubstr("has format version " + to_string(FormatVersion{2, kFormatVersion.minor}) +
                                           ", and this program reads version 1.x"));
}

}  // namespace
}  // namespace rondo::replay
