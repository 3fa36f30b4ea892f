// Recordings that nothing bad happened to: what was written is read, from the start, from anywhere, and while it is
// written.
#include <sys/stat.h>

#include <algorithm>

#include "replay/format/index.h"
#include "replay/format/log_layout.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

constexpr u64 kNever = ~u64{0};

Moment at(u64 count) {
  Moment moment;
  moment.count = InstrCount{count};
  moment.time = VirtualNs{count};
  return moment;
}

// Number of the first event at or after this count.
u64 number_at(u64 count) {
  u64 number = 0;
  for (const Event& event : finished_events()) number += event.moment.count.value < count;
  return number;
}

class RecordingTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string directory_ = folder_ / "r";
};

TEST_F(RecordingTest, EveryKindRoundTrips) {
  for (const u64 per_chunk : {u64{1}, u64{2}, u64{5}, kNever}) {
    const std::string directory = folder_ / ("r" + std::to_string(per_chunk));
    write_sample(directory, per_chunk);
    auto reader = RecordingReader::open(directory);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(reader->manifest(), sample_manifest());
    EXPECT_EQ(reader->validity().ending, LogEnding::complete) << reader->validity().explanation;
    EXPECT_EQ(reader->validity().events, finished_events().size());
    EXPECT_EQ(read_all(*reader), finished_events());
    EXPECT_EQ(reader->next(), nullptr);
    EXPECT_EQ(reader->check().ending, LogEnding::complete);
    EXPECT_FALSE(reader->refresh());
    EXPECT_FALSE(reader->writer_is_alive());
  }
}

TEST_F(RecordingTest, AnEmptyManifestRoundTrips) {
  Manifest manifest;
  manifest.recording_id = "x";
  manifest.machine.command_line = std::string("with\0zero", 9);
  {
    const auto writer = RecordingWriter::create(directory_, manifest);
    ASSERT_TRUE(writer) << writer.error().message;
  }
  const auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->manifest(), manifest);
  EXPECT_EQ(reader->validity().ending, LogEnding::unfinished);
  EXPECT_EQ(reader->validity().events, 0u);
}

TEST_F(RecordingTest, EverySeekArrives) {
  write_sample(directory_, 3);
  const std::vector<Event> events = finished_events();
  for (const bool with_index : {true, false}) {
    if (!with_index) std::filesystem::remove(directory_ + "/index");
    auto reader = RecordingReader::open(directory_);
    ASSERT_TRUE(reader);
    for (u64 number = events.size() + 2; number-- > 0;) {
      reader->seek_event(number);
      EXPECT_EQ(reader->position(), number);
      const Event* event = reader->next();
      ASSERT_EQ(event != nullptr, number < events.size());
      if (event) {
        EXPECT_EQ(*event, events[number]);
      }
    }
    for (const Event& wanted : events) {
      for (const u64 count :
           {wanted.moment.count.value, wanted.moment.count.value + 1, wanted.moment.count.value - 1}) {
        reader->seek_count(InstrCount{count});
        const Event* found = reader->next();
        ASSERT_EQ(found ? found->number : events.size(), number_at(count));
      }
    }
  }
}

TEST_F(RecordingTest, RefusesADirectoryThatIsNotEmpty) {
  std::filesystem::create_directory(directory_);
  { ASSERT_TRUE(RecordingWriter::create(directory_, sample_manifest())); }  // empty: fine
  const auto again = RecordingWriter::create(directory_, sample_manifest());
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("is not empty"), std::string::npos) << again.error().message;
  EXPECT_NE(again.error().message.find(directory_), std::string::npos);
  EXPECT_FALSE(RecordingWriter::create(folder_ / "no/such/parent", sample_manifest()));
  spit(folder_ / "file", {1});
  EXPECT_FALSE(RecordingWriter::create(folder_ / "file", sample_manifest()));
}

TEST_F(RecordingTest, RefusesWhatTheFormatCannotHold) {
  auto writer = RecordingWriter::create(directory_, sample_manifest());
  ASSERT_TRUE(writer);
  EXPECT_FALSE(writer->append(at(1), SeedMaterial{std::vector<u8>(kMaxEventBytes + 1)}));
  EXPECT_FALSE(writer->append(at(1), Unknown{77}));
  EXPECT_FALSE(writer->append(at(1), sample_end()));
  EXPECT_FALSE(writer->append(at(1), StateHash{{{"a", {}}, {"a", {}}}, {}}));
  ASSERT_TRUE(writer->append(at(5), SeedMaterial{std::vector<u8>(kMaxEventBytes, 7)}));
  const auto back = writer->append(at(4), PowerButton{});
  ASSERT_FALSE(back);
  EXPECT_NE(back.error().message.find("cannot follow"), std::string::npos);
  ASSERT_TRUE(writer->append(at(5), PowerButton{}));
  ASSERT_TRUE(writer->finish(at(5), sample_end()));
  EXPECT_FALSE(writer->append(at(6), PowerButton{}));
  EXPECT_FALSE(writer->finish(at(6), sample_end()));
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read_all(*reader).size(), 3u);
}

TEST_F(RecordingTest, FlushesBySizeAndByAge) {
  const std::string log = directory_ + "/events.log";
  auto writer = RecordingWriter::create(directory_, sample_manifest(), {}, {1000, 250});
  ASSERT_TRUE(writer);
  const auto size = [&] { return std::filesystem::file_size(log); };
  const u64 empty = size();
  ASSERT_TRUE(writer->flush_if_older(10'000));
  EXPECT_EQ(size(), empty);
  ASSERT_TRUE(writer->append(at(1), PowerButton{}));
  ASSERT_TRUE(writer->flush_if_older(10'249));
  EXPECT_EQ(size(), empty);
  ASSERT_TRUE(writer->flush_if_older(10'250));
  EXPECT_GT(size(), empty);
  const u64 one = size();
  ASSERT_TRUE(writer->append(at(2), SeedMaterial{std::vector<u8>(500)}));
  EXPECT_EQ(size(), one);
  ASSERT_TRUE(writer->append(at(2), SeedMaterial{std::vector<u8>(500)}));
  EXPECT_GT(size(), one);
}

TEST_F(RecordingTest, IsReadWhileItIsWritten) {
  auto writer = RecordingWriter::create(directory_, sample_manifest());
  ASSERT_TRUE(writer);
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_TRUE(reader->writer_is_alive());
  EXPECT_EQ(reader->next(), nullptr);
  std::vector<Event> got;
  for (const Event& event : sample_events()) {
    ASSERT_TRUE(writer->append(event.moment, event.body));
    EXPECT_FALSE(reader->refresh());
    if (event.number % 3 != 0) continue;
    ASSERT_TRUE(writer->flush());
    EXPECT_TRUE(reader->refresh());
    EXPECT_EQ(reader->validity().ending, LogEnding::unfinished);
    for (const Event& e : read_all(*reader)) got.push_back(e);
  }
  ASSERT_TRUE(writer->finish(sample_events().back().moment, sample_end()));
  EXPECT_TRUE(reader->refresh());
  EXPECT_EQ(reader->validity().ending, LogEnding::complete);
  EXPECT_FALSE(reader->writer_is_alive());
  for (const Event& e : read_all(*reader)) got.push_back(e);
  EXPECT_EQ(got, finished_events());
}

TEST_F(RecordingTest, TheIndexIsOnlyAHint) {
  write_sample(directory_, 2);
  const std::string path = directory_ + "/index";
  const std::vector<u8> good = slurp(path);
  const u64 recording = replay::recording_digest(sample_manifest().recording_id);
  const auto index = decode_index(good, recording);
  ASSERT_TRUE(index);
  EXPECT_EQ(index->events, finished_events().size());

  std::vector<std::vector<u8>> bad = {{}, {1, 2, 3}};
  const auto changed = [&](auto change) {
    Index copy = *index;
    change(copy);
    bad.push_back(encode_index(copy, recording));
  };
  changed([](Index& i) { i.chunks[3].first_event += 1; });
  changed([](Index& i) { i.chunks[3].offset += 1; });
  changed([](Index& i) { i.chunks[3].first_count += 1; });
  changed([](Index& i) { i.chunks[3].first_count = i.chunks[2].first_count; });
  changed([](Index& i) { i.chunks[9].first_count = i.chunks[2].first_count; });
  changed([](Index& i) { i.chunks.erase(i.chunks.begin() + 3); });
  changed([](Index& i) { i.chunks.back().offset += 1; });
  changed([](Index& i) { i.events += 1; });
  changed([](Index& i) { i.end_offset -= 1; });
  changed([](Index& i) { i = {}; });
  changed([](Index& i) {  // stale
    i.end_offset = i.chunks[5].offset;
    i.events = i.chunks[5].first_event;
    i.chunks.resize(5);
  });
  bad.push_back(encode_index(*index, recording + 1));
  for (u64 i = 0; i < bad.size(); ++i) {
    spit(path, bad[i]);
    auto reader = RecordingReader::open(directory_);
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->validity().ending, LogEnding::complete) << i << reader->validity().explanation;
    for (const u64 count : {3000, 2000, 1000, 999, 11, 10}) {
      auto seeker = RecordingReader::open(directory_);
      ASSERT_TRUE(seeker);
      seeker->seek_count(InstrCount{count});
      EXPECT_EQ(seeker->next()->number, number_at(count)) << i << ", " << count;
    }
    EXPECT_EQ(read_all(*reader), finished_events()) << i;
  }
}

TEST_F(RecordingTest, ALongOneIsIndexedWhileItIsWritten) {
  constexpr u64 kEvents = 5000;
  auto writer = RecordingWriter::create(directory_, sample_manifest());
  ASSERT_TRUE(writer);
  for (u64 i = 0; i < kEvents; ++i) {
    ASSERT_TRUE(writer->append(at(i * 10), ConsoleInput{0, {static_cast<u8>(i)}}));
    if (i % 10 == 9) {
      ASSERT_TRUE(writer->flush());
    }
  }
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/index"));
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->validity().events, kEvents);
  for (const u64 number : {u64{4999}, u64{0}, u64{1234}, u64{777}}) {
    reader->seek_event(number);
    EXPECT_EQ(reader->next()->number, number);
    reader->seek_count(InstrCount{number * 10});
    EXPECT_EQ(reader->next()->number, number);
  }
}

// A byte of the log that the index covers is found when its chunk is read, and everything before it is still good.
TEST_F(RecordingTest, DamageBehindTheIndexIsFoundWhenItIsRead) {
  write_sample(directory_, 2);
  const auto index = decode_index(slurp(directory_ + "/index"), recording_digest(sample_manifest().recording_id));
  ASSERT_TRUE(index);
  std::vector<u8> log = slurp(directory_ + "/events.log");
  log[index->chunks[4].offset + kChunkHeaderBytes + 5] ^= 0x10;
  spit(directory_ + "/events.log", log);
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read_all(*reader).size(), 8u);
  EXPECT_EQ(reader->validity().ending, LogEnding::damaged);
  EXPECT_EQ(reader->validity().events, 8u);
  EXPECT_EQ(reader->validity().valid_bytes, index->chunks[4].offset);
  EXPECT_NE(reader->validity().explanation.find("byte " + std::to_string(index->chunks[4].offset)), std::string::npos);
  auto checked = RecordingReader::open(directory_);
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->check().ending, LogEnding::damaged);
}

TEST_F(RecordingTest, AnotherMajorVersionIsRefusedWithBothVersions) {
  write_sample(directory_, kNever);
  for (const std::string file : {"manifest", "events.log"}) {
    const std::string path = directory_ + "/" + file;
    const std::vector<u8> good = slurp(path);
    for (const u8 major : {0, 2}) {
      std::vector<u8> other = good;
      other[8] = major;
      redo_header_digest(file, other);
      spit(path, other);
      const auto reader = RecordingReader::open(directory_);
      ASSERT_FALSE(reader);
      const std::string& message = reader.error().message;
      EXPECT_NE(message.find("version " + to_string(FormatVersion{major, kFormatVersion.minor})), std::string::npos) << message;
      EXPECT_NE(message.find("(" + to_string(kFormatVersion) + ")"), std::string::npos) << message;
    }
    for (const u8 minor : {0, 9}) {
      std::vector<u8> other = good;
      other[10] = minor;
      redo_header_digest(file, other);
      spit(path, other);
      auto reader = RecordingReader::open(directory_);
      ASSERT_TRUE(reader) << reader.error().message;
      EXPECT_EQ(read_all(*reader), finished_events());
      EXPECT_EQ(recording_version(directory_)->major, kFormatVersion.major);
    }
    spit(path, good);
  }
}

TEST_F(RecordingTest, SaysWhatIsNoRecording) {
  const auto nothing = RecordingReader::open(folder_ / "nothing");
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("does not exist"), std::string::npos);
  std::filesystem::create_directory(directory_);
  const auto empty = RecordingReader::open(directory_);
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("is not a recording"), std::string::npos);
  EXPECT_FALSE(recording_version(directory_));
  spit(directory_ + "/manifest", bytes_of("something else entirely"));
  const auto other = RecordingReader::open(directory_);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("is not the manifest of a recording"), std::string::npos);
  std::filesystem::remove(directory_ + "/manifest");
  ASSERT_EQ(::mkfifo((directory_ + "/manifest").c_str(), 0600), 0);
  EXPECT_FALSE(RecordingReader::open(directory_));
  std::filesystem::remove(directory_ + "/manifest");
  std::filesystem::create_symlink("/dev/zero", directory_ + "/manifest");
  EXPECT_FALSE(RecordingReader::open(directory_));
}

TEST_F(RecordingTest, ALogOfAnotherRecordingIsNotRead) {
  write_sample(directory_, 2);
  Manifest other = sample_manifest();
  other.recording_id = "another";
  {
    auto writer = RecordingWriter::create(folder_ / "other", other);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->finish(at(1), sample_end()));
  }
  std::filesystem::copy_file(folder_ / "other/events.log", directory_ + "/events.log",
                             std::filesystem::copy_options::overwrite_existing);
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->validity().ending, LogEnding::damaged);
  EXPECT_EQ(reader->next(), nullptr);
}

// The log of a 60 s boot-and-idle: hashes of 20 components of which few change, checkpoints, and the end.
TEST_F(RecordingTest, StateHashesAreSmall) {
  Manifest manifest = sample_manifest();
  manifest.component_names.clear();
  for (int i = 0; i < 20; ++i) manifest.component_names.push_back("component" + std::to_string(i));
  StateHash hash;
  u64 random = 1;
  const auto next = [&] { return random = random * 6364136223846793005u + 1442695040888963407u; };
  for (const std::string& name : manifest.component_names) hash.components.push_back({name, {next(), next()}});
  auto writer = RecordingWriter::create(directory_, manifest);
  ASSERT_TRUE(writer);
  for (u64 i = 1; i <= 60; ++i) {
    for (u64 c = 0; c < 6; ++c) hash.components[c].hash = {next(), next()};  // vCPU, clock, memory and the timers
    hash.total = {next(), next()};
    ASSERT_TRUE(writer->append(at(i * 50'000'000), hash));
    if (i % 10 == 0) {
      ASSERT_TRUE(writer->append(at(i * 50'000'000), CheckpointTaken{i / 10}));
      ASSERT_TRUE(writer->flush());
    }
  }
  ASSERT_TRUE(writer->finish(at(60 * u64{50'000'000}), sample_end()));
  EXPECT_LT(std::filesystem::file_size(directory_ + "/events.log"), 12'000u);
}

// KVM: every exit takes a time from the host.
TEST_F(RecordingTest, SampledTimesAreSmall) {
  constexpr u64 kSamples = 100'000;
  auto writer = RecordingWriter::create(directory_, sample_manifest());
  ASSERT_TRUE(writer);
  u64 random = 1;
  Moment moment;
  for (u64 i = 0; i < kSamples; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    moment.time += 8'000 + (random >> 52);
    moment.synchronous = i;
    ASSERT_TRUE(writer->append(moment, SampledTime{moment.time}));
  }
  ASSERT_TRUE(writer->flush());
  EXPECT_LT(std::filesystem::file_size(directory_ + "/events.log"), kSamples * 4);
  auto reader = RecordingReader::open(directory_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read_all(*reader).size(), kSamples);
}

}  // namespace
}  // namespace rondo::replay::test
