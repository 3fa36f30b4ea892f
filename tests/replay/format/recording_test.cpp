// Recordings that nothing happened to: what was written is read.
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

constexpr u64 kNever = ~u64{0};

// Writes the sample, a chunk after every `per_chunk` events.
void write_sample(const std::string& directory, u64 per_chunk, bool finish = true) {
  auto writer = RecordingWriter::create(directory, sample_manifest());
  ASSERT_TRUE(writer) << writer.error().message;
  for (const Event& event : sample_events()) {
    const auto number = writer->append(event.moment, event.body);
    ASSERT_TRUE(number) << number.error().message;
    EXPECT_EQ(*number, event.number);
    if ((event.number + 1) % per_chunk == 0) {
      ASSERT_TRUE(writer->flush());
    }
  }
  if (!finish) return;
  const auto finished = writer->finish(sample_events().back().moment, sample_end());
  ASSERT_TRUE(finished) << finished.error().message;
}

class RecordingTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string directory_ = folder_ / "r";
};

TEST_F(RecordingTest, EveryKindRoundTrips) {
  std::vector<Event> expected = sample_events();
  expected.push_back({expected.size(), expected.back().moment, sample_end()});
  for (const u64 per_chunk : {u64{1}, u64{2}, u64{5}, kNever}) {
    const std::string directory = folder_ / ("r" + std::to_string(per_chunk));
    write_sample(directory, per_chunk);
    auto reader = RecordingReader::open(directory);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(reader->manifest(), sample_manifest());
    EXPECT_EQ(reader->validity().ending, LogEnding::complete) << reader->validity().explanation;
    EXPECT_EQ(reader->validity().events, expected.size());
    EXPECT_EQ(read_all(*reader), expected);
    EXPECT_EQ(reader->next(), nullptr);
    EXPECT_EQ(reader->check().ending, LogEnding::complete);
  }
}

}  // namespace
}  // namespace rondo::replay::test
