// What the tests of the recording format share: a directory of their own, a manifest, events of every kind.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "replay/format/digest.h"
#include "replay/format/envelope.h"
#include "replay/format/log_layout.h"
#include "replay/format/recording_reader.h"
#include "replay/format/recording_writer.h"

namespace rondo::replay::test {

// A directory that lives as long as the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    // In memory where that is possible: some tests rewrite small files a hundred thousand times.
    const bool shm = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent = shm ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = (parent / "rondo-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::vector<u8> slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void spit(const std::string& path, const std::vector<u8>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<u8> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

inline Manifest sample_manifest() {
  Manifest m;
  m.program_version = "0.1.0";
  m.recording_id = "0123456789abcdef";
  m.machine.memory_bytes = u64{256} << 20;
  m.machine.engine = "software";
  m.machine.seed = 42;
  m.machine.rtc_start = -5;
  m.machine.command_line = "console=ttyS0 panic=-1";
  m.machine.image_kind = "bzImage (lz4)";
  m.machine.cpu_model = "rondo-v1";
  m.machine.cpuid = {{0, 0, 0xd, 1, 2, 3}, {7, 1, 4, 5, 6, 7}};
  m.machine.text_patches = {{0x1000abc, {0x0f, 0x31}, {0xe6, 0xe4}},
                            {0x1000def, {0x0f, 0x01, 0xf9}, {0x66, 0xe7, 0xe4}}};
  m.host = {{"cpu", "some processor"}, {"system", "Linux 6.1"}};
  m.settings = {100'000'000, 1'000'000'000};
  m.marks = {"not guaranteed because this is a test"};
  m.component_names = {"vcpu0", "clock", "memory"};
  return m;
}

// Every kind, Moments with everything that they can have, and what is at the edges of the numbers.
inline std::vector<Event> sample_events() {
  std::vector<Event> events;
  const auto add = [&](Moment moment, EventBody body) { events.push_back({events.size(), moment, std::move(body)}); };
  const auto at = [](u64 count, u64 time, u64 rip = 0, u64 rcx = 0) {
    Moment m;
    m.count = InstrCount{count};
    m.time = VirtualNs{time};
    m.rip = rip;
    m.rcx = rcx;
    return m;
  };
  Moment kvm = at(1000, 5000, 0xffffffff81000000, ~u64{0});
  add(at(0, 0), SeedMaterial{{1, 2, 3, 4}});
  add(at(0, 0), HostTime{HostTimePurpose::real_time_clock, -1, 999'999'999});
  add(at(10, 10, 0x100, 7), ConsoleInput{1, bytes_of("ls\n")});
  add(at(10, 10, 0x100, 7), ConsoleInput{0, {}});
  add(at(11, 11, 0x103, 7), ConsoleBreak{2});
  add(at(11, 400, 0x103, 7), IdleWake{VirtualNs{1234}});
  add(at(999, 5000, 0xffffffff81000000), PowerButton{});
  add(at(1000, 5000, 0xffffffff81000000, ~u64{0}),
      StateHash{{{"vcpu0", {1, 2}}, {"clock", {3, 4}}, {"memory", {5, 6}}}, {7, 8}});
  add(at(1000, 5000, 0xffffffff81000000, ~u64{0}), CheckpointTaken{3});
  for (u64 i = 0; i < 5; ++i) {
    kvm.synchronous = 100 + i;
    kvm.time += 10'000 + i;
    add(kvm, SampledTime{kvm.time + (i & 1)});
  }
  kvm.fingerprint = Fingerprint{{~u64{0}, 1}, {2, u64{1} << 63}};
  add(kvm, AsynchronousInterrupt{0xec});
  const std::vector<ComponentHash> components = {{"vcpu0", {9, 9}}, {"clock", {3, 4}}, {"memory", {5, 7}}};
  add(at(2000, 3, 1, 1), StateHash{components, {70, 80}, ConsoleOutput{0, {1, 2}}});
  add(at(2000, 3, 1, 1), StateHash{components, {70, 80}});
  add(at(2000, 3, 1, 1), StateHash{components, {70, 80}, ConsoleOutput{~u64{0}, {~u64{0}, 2}}});
  add(at(2500, 3, 1, 1), Remark{std::string("no\0room\n", 8)});
  add(at(2500, 3, 1, 1), Remark{});
  add(at(3000, 3), StateHash{{{"disk", {9, 9}}, {"vcpu0", {3, 4}}}, {71, 81}});
  add(at(3000, 3), StateHash{{{"disk", {9, 9}}, {"vcpu0", {3, 5}}}, {72, 82}});
  add(at(3000, 3), StateHash{{}, {73, 83}});
  add(at(~u64{0}, ~u64{0}, ~u64{0}, ~u64{0}), ResetButton{});
  return events;
}

inline End sample_end() {
  End end;
  end.reason = "debug_exit";
  end.debug_exit_code = 33;
  end.instructions = InstrCount{~u64{0}};
  end.virtual_ns = VirtualNs{5};
  end.state_hash = {1, 2};
  end.console_bytes = 3;
  end.console_hash = {4, 5};
  return end;
}

// sample_events() and the end.
inline std::vector<Event> finished_events() {
  std::vector<Event> events = sample_events();
  events.push_back({events.size(), events.back().moment, sample_end()});
  return events;
}

// Writes the sample, a chunk after every `per_chunk` events.
inline void write_sample(const std::string& directory, u64 per_chunk, bool finish = true,
                         const Manifest& manifest = sample_manifest(), std::span<const NewImage> images = {}) {
  auto writer = RecordingWriter::create(directory, manifest, images);
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

// Puts the right digest into the header of a changed manifest, index or log.
inline void redo_header_digest(const std::string& name, std::vector<u8>& file) {
  const bool log = name == kLogName;
  const u64 place = log ? kLogHeaderBytes - 8 : kEnvelopeBytes - 8;
  const std::span<const u8> bytes(file);
  const u64 header = digest64(bytes.first(place));
  const u64 digest = log ? header : digest64(bytes.subspan(kEnvelopeBytes), header);
  for (unsigned i = 0; i < 8; ++i) file[place + i] = static_cast<u8>(digest >> (8 * i));
}

// A chunk's payload unpacked, and packed again with a header that fits.
inline std::vector<u8> unpack_chunk(const ChunkHeader& header, std::span<const u8> payload) {
  std::vector<u8> raw(header.raw_bytes);
  if (ZSTD_decompress(raw.data(), raw.size(), payload.data(), payload.size()) != raw.size()) raw.clear();
  return raw;
}
inline std::vector<u8> pack_chunk(std::span<const u8> raw, ChunkHeader& header) {
  std::vector<u8> payload(ZSTD_compressBound(raw.size()));
  payload.resize(ZSTD_compress(payload.data(), payload.size(), raw.data(), raw.size(), 1));
  header.raw_bytes = static_cast<u32>(raw.size());
  header.payload_bytes = static_cast<u32>(payload.size());
  return payload;
}

// All that can be read from here on.
inline std::vector<Event> read_all(RecordingReader& reader) {
  std::vector<Event> events;
  while (const Event* event = reader.next()) events.push_back(*event);
  return events;
}

}  // namespace rondo::replay::test
