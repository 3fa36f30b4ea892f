// Damaged recordings: always a clear error or a valid prefix. Never a wrong event, a crash, a hang or unbounded memory.
#include "tests/replay/corruption.h"

#include <sys/resource.h>

#include <map>

#include "replay/format/blob_store.h"
#include "replay/format/chunk.h"
#include "replay/format/index.h"
#include "replay/format/recording_generated.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

u64 peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<u64>(usage.ru_maxrss) * 1024;
}

void expect_one_line(const Error& error) {
  EXPECT_FALSE(error.message.empty());
  EXPECT_EQ(error.message.find('\n'), std::string::npos);
}

class CorruptionTest : public testing::Test {
 protected:
  void SetUp() override {
    write_sample(directory_, 3);
    Manifest other = sample_manifest();
    other.recording_id = "fedcba9876543210";
    write_sample(folder_ / "other", 3, true, other);
    for (const char* name : {"manifest", "events.log", "index"}) {
      good_[name] = slurp(directory_ + "/" + name);
      other_[name] = slurp(folder_ / (std::string("other/") + name));
    }
  }

  // Whatever was done to the files: what is read was written.
  void expect_valid_prefix(Corruptor& corruptor) {
    auto reader = RecordingReader::open(directory_);
    if (!reader) return expect_one_line(reader.error());
    ASSERT_EQ(reader->manifest(), sample_manifest());
    if (corruptor.below(2)) {
      const u64 number = corruptor.below(events_.size() + 1);
      reader->seek_event(number);
      const Event* event = reader->next();
      if (event) {
        ASSERT_EQ(*event, events_[number]);
      }
      const InstrCount count = events_[corruptor.below(events_.size())].moment.count;
      reader->seek_count(count);
      event = reader->next();
      if (event) {
        ASSERT_EQ(*event, events_[event->number]);
        ASSERT_GE(event->moment.count, count);
        ASSERT_TRUE(event->number == 0 || events_[event->number - 1].moment.count < count);
      }
      reader->seek_event(0);
    }
    const std::vector<Event> read = read_all(*reader);
    ASSERT_LE(read.size(), events_.size());
    for (u64 i = 0; i < read.size(); ++i) ASSERT_EQ(read[i], events_[i]);
    ASSERT_EQ(reader->validity().events, read.size());
    if (reader->validity().ending == LogEnding::complete) {
      ASSERT_EQ(read.size(), events_.size());
    }
    ASSERT_EQ(reader->check().events, read.size());
  }

  TemporaryFolder folder_;
  std::string directory_ = folder_ / "r";
  std::map<std::string, std::vector<u8>> good_, other_;
  const std::vector<Event> events_ = finished_events();
};

TEST_F(CorruptionTest, RandomDamageGivesAnErrorOrAValidPrefix) {
  const u64 rounds = slow_tests() ? 100'000 : 4'000;
  const u64 before = peak_bytes();
  Corruptor corruptor(1);
  for (u64 round = 0; round < rounds; ++round) {
    for (const auto& [name, bytes] : good_) {
      const bool this_one = corruptor.below(name == "events.log" ? 2 : 4) == 0;
      spit(directory_ + "/" + name, this_one ? corruptor.damage(bytes, other_[name]) : bytes);
    }
    if (corruptor.below(16) == 0) std::filesystem::remove(directory_ + "/index");
    expect_valid_prefix(corruptor);
    if (HasFatalFailure()) FAIL() << "in round " << round;
  }
#ifndef RONDO_SANITIZED
  EXPECT_LT(peak_bytes() - before, u64{200} << 20);
#else
  static_cast<void>(before);
#endif
}

TEST_F(CorruptionTest, CutAtEveryByteItIsAValidPrefix) {
  const auto index = decode_index(good_["index"], recording_digest(sample_manifest().recording_id));
  ASSERT_TRUE(index);
  const std::vector<u8>& log = good_["events.log"];
  for (const bool with_index : {true, false}) {
    if (!with_index) std::filesystem::remove(directory_ + "/index");
    for (u64 size = 0; size <= log.size(); ++size) {
      spit(directory_ + "/events.log", {log.begin(), log.begin() + static_cast<std::ptrdiff_t>(size)});
      auto reader = RecordingReader::open(directory_);
      ASSERT_TRUE(reader) << reader.error().message;
      u64 expected = 0;
      for (u64 i = 0; i < index->chunks.size(); ++i) {
        const bool last = i + 1 == index->chunks.size();
        const u64 end = last ? index->end_offset : index->chunks[i + 1].offset;
        if (end <= size) expected = last ? index->events : index->chunks[i + 1].first_event;
      }
      const std::vector<Event> read = read_all(*reader);
      ASSERT_EQ(read.size(), expected) << "cut at " << size;
      for (u64 i = 0; i < read.size(); ++i) ASSERT_EQ(read[i], events_[i]);
      ASSERT_EQ(reader->validity().ending, size == log.size() ? LogEnding::complete : LogEnding::unfinished);
    }
  }
}

TEST_F(CorruptionTest, EveryFlippedBitOfTheLogIsFound) {
  std::filesystem::remove(directory_ + "/index");
  std::vector<u8> log = good_["events.log"];
  for (u64 bit = 0; bit < log.size() * 8; bit += slow_tests() ? 1 : 5) {
    log[bit / 8] ^= static_cast<u8>(1 << (bit % 8));
    spit(directory_ + "/events.log", log);
    auto reader = RecordingReader::open(directory_);
    if (reader) {
      const std::vector<Event> read = read_all(*reader);
      ASSERT_LT(read.size(), events_.size()) << "bit " << bit;
      for (u64 i = 0; i < read.size(); ++i) ASSERT_EQ(read[i], events_[i]);
      ASSERT_NE(reader->validity().ending, LogEnding::complete);
    }
    log[bit / 8] ^= static_cast<u8>(1 << (bit % 8));
  }
}

TEST_F(CorruptionTest, WholeChunksThatAreMovedAreFound) {
  const u64 recording = recording_digest(sample_manifest().recording_id);
  const auto index = decode_index(good_["index"], recording);
  const auto other = decode_index(other_["index"], recording_digest("fedcba9876543210"));
  ASSERT_TRUE(index && other);
  const std::vector<u8>& log = good_["events.log"];
  const auto chunk = [](const std::vector<u8>& bytes, const Index& i, u64 place) {
    const u64 end = place + 1 < i.chunks.size() ? i.chunks[place + 1].offset : i.end_offset;
    return std::vector<u8>(bytes.begin() + static_cast<std::ptrdiff_t>(i.chunks[place].offset),
                           bytes.begin() + static_cast<std::ptrdiff_t>(end));
  };
  const u64 chunks = index->chunks.size();
  const auto try_order = [&](const std::vector<std::pair<bool, u64>>& order, LogEnding expected, u64 good_chunks) {
    std::vector<u8> bytes(log.begin(), log.begin() + kLogHeaderBytes);
    for (const auto& [foreign, place] : order) {
      const std::vector<u8> piece = foreign ? chunk(other_["events.log"], *other, place) : chunk(log, *index, place);
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    }
    spit(directory_ + "/events.log", bytes);
    auto reader = RecordingReader::open(directory_);
    ASSERT_TRUE(reader);
    const std::vector<Event> read = read_all(*reader);
    EXPECT_EQ(reader->validity().ending, expected) << reader->validity().explanation;
    EXPECT_EQ(read.size(), good_chunks < chunks ? index->chunks[good_chunks].first_event : index->events);
  };
  std::vector<std::pair<bool, u64>> order;
  for (u64 i = 0; i < chunks; ++i) order.push_back({false, i});
  try_order(order, LogEnding::complete, chunks);
  auto changed = order;
  changed.erase(changed.begin() + 2);
  try_order(changed, LogEnding::damaged, 2);
  changed = order;
  changed.insert(changed.begin() + 2, {false, 1});
  try_order(changed, LogEnding::damaged, 2);
  changed = order;
  std::swap(changed[3], changed[4]);
  try_order(changed, LogEnding::damaged, 3);
  changed = order;
  changed[1] = {true, 1};
  try_order(changed, LogEnding::damaged, 1);
  changed = order;
  changed.push_back({false, chunks - 1});
  try_order(changed, LogEnding::damaged, chunks);
}

// Somebody who makes the digests right gets any events he likes, but no crash and no more memory than the files are
// large.
TEST_F(CorruptionTest, ForgedFilesAreDecodedSafely) {
  const u64 rounds = slow_tests() ? 50'000 : 3'000;
  const u64 recording = recording_digest(sample_manifest().recording_id);
  Corruptor corruptor(2);
  u64 opened = 0;
  for (u64 round = 0; round < rounds; ++round) {
    for (const char* name : {"manifest", "index"}) {
      std::vector<u8> file = good_[name];
      if (corruptor.below(2)) {
        const std::vector<u8> payload(file.begin() + kEnvelopeBytes, file.end());
        file.resize(kEnvelopeBytes);
        const std::vector<u8> forged = corruptor.damage(payload, std::span(other_[name]).subspan(kEnvelopeBytes));
        file.insert(file.end(), forged.begin(), forged.end());
        for (unsigned i = 0; i < 4; ++i) file[12 + i] = static_cast<u8>(forged.size() >> (8 * i));
        redo_header_digest(name, file);
      }
      spit(directory_ + "/" + name, file);
    }
    auto reader = RecordingReader::open(directory_);
    if (!reader) {
      expect_one_line(reader.error());
      continue;
    }
    ++opened;
    const u64 read = read_all(*reader).size();
    ASSERT_EQ(reader->validity().events, read);
  }
  EXPECT_GT(opened, rounds / 4);

  // The chunk: what is behind compression and digest.
  ChunkBuilder builder(sample_manifest().component_names, recording);
  for (const Event& event : sample_events()) ASSERT_TRUE(builder.add(event.moment, event.body));
  const std::vector<u8> chunk = builder.finish(0);
  const auto header = decode_chunk_header(chunk, recording);
  ASSERT_TRUE(header);
  const std::vector<u8> raw = unpack_chunk(*header, std::span(chunk).subspan(kChunkHeaderBytes));
  ASSERT_EQ(raw.size(), header->raw_bytes);
  const std::vector<std::string> names = sample_manifest().component_names;
  u64 decoded = 0;
  for (u64 round = 0; round < rounds * 4; ++round) {
    ChunkHeader forged = *header;
    const std::vector<u8> payload = pack_chunk(corruptor.damage(raw, raw), forged);
    if (corruptor.below(8) == 0) forged.events = static_cast<u32>(1 + corruptor.below(40));
    auto decoder = ChunkDecoder::open(forged, payload, names);
    if (!decoder) continue;
    ++decoded;
    while (decoder->next_number() < decoder->end_number()) describe(decoder->next().body);
  }
  EXPECT_GT(decoded, 0u);
}

// Found by index_fuzzer: the FlatBuffers verifier does not mind.
TEST(IndexTest, ElementsThatAreNotAlignedAreRefused) {
  Index index;
  ChunkHeader chunk;
  chunk.payload_bytes = chunk.raw_bytes = 10;
  chunk.events = 3;
  index.add(chunk);
  std::vector<u8> file = encode_index(index, 7);
  std::vector<u8> payload(file.begin() + kEnvelopeBytes, file.end());
  const u64 length = sizeof(u32) + sizeof(fb::ChunkPosition);
  const auto* root = flatbuffers::GetRoot<fb::Index>(payload.data());
  const u64 vector = static_cast<u64>(reinterpret_cast<const u8*>(root->chunks()) - payload.data());
  const std::vector<u8> copy(payload.begin() + static_cast<std::ptrdiff_t>(vector),
                             payload.begin() + static_cast<std::ptrdiff_t>(vector + length));
  const auto* table = reinterpret_cast<const flatbuffers::Table*>(root);
  const u64 field = static_cast<u64>(table->GetAddressOf(fb::Index::VT_CHUNKS) - payload.data());
  for (const u64 alignment : {u64{4}, u64{0}}) {  // of the length: the elements come four bytes later
    std::vector<u8> moved = payload;
    while (moved.size() % 8 != alignment) moved.push_back(0);
    const u64 offset = moved.size() - field;
    moved.insert(moved.end(), copy.begin(), copy.end());
    for (unsigned i = 0; i < 4; ++i) moved[field + i] = static_cast<u8>(offset >> (8 * i));
    const auto decoded = decode_index(wrap("RONDOIDX", moved), 7);
    EXPECT_EQ(decoded.has_value(), alignment == 4);
    if (decoded) {
      EXPECT_EQ(*decoded, index);
    }
  }
}

TEST_F(CorruptionTest, BlobsAreRightOrRefused) {
  const u64 rounds = slow_tests() ? 20'000 : 1'000;
  const std::string folder = folder_ / "store";
  std::filesystem::create_directory(folder);
  BlobStore store(folder);
  Corruptor corruptor(3);
  std::vector<u8> plain(900);
  for (u8& byte : plain) byte = static_cast<u8>(corruptor.below(256));
  const std::vector<u8> text(5000, 't');
  for (const std::vector<u8>& content : {plain, text}) {
    const std::string id = *store.put(content);
    const std::string path = folder + "/blobs/" + id;
    const std::vector<u8> good = slurp(path);
    for (u64 round = 0; round < rounds; ++round) {
      spit(path, corruptor.damage(good, good));
      const auto got = store.get(id, 1 << 20);
      if (got) {
        ASSERT_EQ(*got, content);
      } else {
        expect_one_line(got.error());
      }
    }
  }
}

}  // namespace
}  // namespace rondo::replay::test
