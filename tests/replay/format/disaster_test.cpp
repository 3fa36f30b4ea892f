// The writer dies, or the disk is full: what was written before stays good, and nobody is told otherwise.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "replay/format/index.h"
#include "tests/replay/corruption.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

// The run that is recorded: a function of the event's number.
Event nth_event(u64 number) {
  Event event;
  event.number = number;
  event.moment.count = InstrCount{number * 1000};
  event.moment.time = VirtualNs{number * 1000 + number % 7};
  event.moment.rip = 0xffffffff81000000 + number * 5;
  std::vector<u8> bytes(1 + number % 50);
  for (u64 i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>((number * 2654435761 + i * 40503) >> 11);
  if (number % 5 == 0) {
    event.body = StateHash{{{"vcpu0", {number, 1}}, {"memory", {number * 3, 2}}}, {number, number}};
  } else {
    event.body = ConsoleInput{0, std::move(bytes)};
  }
  return event;
}

// What a child tells its parent.
struct Shared {
  std::atomic<u64> flushed;  // events that were flushed for sure
  char message[512];         // of the first error
  std::atomic<bool> failed;
  std::atomic<bool> sticky;  // a later call gave the same error
};

class DisasterTest : public testing::Test {
 protected:
  void SetUp() override {
    void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    shared_ = new (page) Shared{};
  }
  void TearDown() override { ::munmap(shared_, sizeof(Shared)); }

  // Writes events until `events` of them are there or until an error.
  void record(const std::string& directory, u64 events, u64 flush_every, bool finish) {
    auto writer = RecordingWriter::create(directory, sample_manifest());
    const auto note = [&](const Error& error) {
      if (shared_->failed) {
        shared_->sticky = error.message == shared_->message;
        return;
      }
      std::snprintf(shared_->message, sizeof(shared_->message), "%s", error.message.c_str());
      shared_->failed = true;
    };
    if (!writer) return note(writer.error());
    for (u64 number = 0; number < events; ++number) {
      Event event = nth_event(number);
      if (auto appended = writer->append(event.moment, std::move(event.body)); !appended) {
        note(appended.error());
        break;
      }
      if ((number + 1) % flush_every != 0) continue;
      if (auto flushed = writer->flush(); !flushed) {
        note(flushed.error());
        break;
      }
      shared_->flushed = number + 1;
    }
    if (shared_->failed || finish) {
      Event last = nth_event(events);
      if (auto finished = writer->finish(last.moment, sample_end()); !finished) note(finished.error());
    }
  }

  // Every event that can be read is the right one; how many there are.
  u64 valid_events(const std::string& directory, LogEnding* ending = nullptr) {
    auto reader = RecordingReader::open(directory);
    if (!reader) {
      ADD_FAILURE() << reader.error().message;
      return 0;
    }
    u64 number = 0;
    while (const Event* event = reader->next()) {
      if (!std::holds_alternative<End>(event->body)) {
        EXPECT_EQ(*event, nth_event(number));
      }
      ++number;
    }
    if (ending) *ending = reader->validity().ending;
    return number;
  }

  // The error names the log and says how much is good, and it is true; it was said again when asked again.
  void expect_full_disk_was_told(const std::string& directory) {
    EXPECT_TRUE(shared_->failed);
    EXPECT_TRUE(shared_->sticky);
    const std::string message = shared_->message;
    EXPECT_NE(message.find(directory + "/events.log"), std::string::npos) << message;
    LogEnding ending = LogEnding::complete;
    const u64 events = valid_events(directory, &ending);
    EXPECT_NE(message.find("good up to event " + std::to_string(events) + ","), std::string::npos) << message << events;
    EXPECT_GE(events, shared_->flushed);
    EXPECT_EQ(ending, LogEnding::unfinished);
  }

  TemporaryFolder folder_;
  Shared* shared_ = nullptr;
};

TEST_F(DisasterTest, KilledAtAnyTimeItIsGoodUpToTheLastFlush) {
  const u64 rounds = slow_tests() ? 200 : 25;
  Corruptor random(5);
  u64 with_events = 0;
  for (u64 round = 0; round < rounds; ++round) {
    const std::string directory = folder_ / std::to_string(round);
    shared_->flushed = 0;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      record(directory, ~u64{0}, 1 + round % 40, false);
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << shared_->message;
    const u64 flushed = shared_->flushed;
    if (!std::filesystem::exists(directory + "/manifest")) {
      ASSERT_EQ(flushed, 0u);
      continue;
    }
    LogEnding ending = LogEnding::complete;
    EXPECT_GE(valid_events(directory, &ending), flushed);
    EXPECT_EQ(ending, LogEnding::unfinished);
    with_events += flushed > 0;
  }
  EXPECT_GT(with_events, rounds / 4);
}

TEST_F(DisasterTest, AFileThatCannotGrowEndsAfterWholeChunks) {
  const u64 rounds = slow_tests() ? 200 : 20;
  Corruptor random(6);
  for (u64 round = 0; round < rounds; ++round) {
    const std::string directory = folder_ / std::to_string(round);
    const u64 limit = 2000 + random.below(30'000);
    new (shared_) Shared{};
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit file_size{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &file_size);
      record(directory, ~u64{0}, 1 + round % 100, false);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_full_disk_was_told(directory);
    EXPECT_LE(std::filesystem::file_size(directory + "/events.log"), limit);
  }
}

TEST_F(DisasterTest, AFullDiskEndsAfterWholeChunks) {
  // A file system of its own, which only this child sees.
  const std::string mount_point = folder_ / "disk";
  std::filesystem::create_directory(mount_point);
  for (u64 kilobytes = 16; kilobytes <= 96; kilobytes += 4) {
    new (shared_) Shared{};
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const std::string options = "size=" + std::to_string(kilobytes) + "k";
      if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
          ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("none", mount_point.c_str(), "tmpfs", 0, options.c_str()) != 0) {
        ::_exit(77);
      }
      record(mount_point + "/r", ~u64{0}, 1 + kilobytes, false);
      expect_full_disk_was_told(mount_point + "/r");
      ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this host does not let the test mount a file system";
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_NE(std::string(shared_->message).find("No space left"), std::string::npos) << shared_->message;
  }
}

// The index could not be written either: that must not hide the log's end.
TEST_F(DisasterTest, AFailedFinishIsTold) {
  const std::string directory = folder_ / "r";
  auto writer = RecordingWriter::create(directory, sample_manifest());
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->append(nth_event(0).moment, nth_event(0).body));
  std::filesystem::remove(directory + "/events.log");
  std::filesystem::remove(directory + "/manifest");
  std::filesystem::remove(directory);
  const auto finished = writer->finish(nth_event(1).moment, sample_end());
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().message.find(directory), std::string::npos) << finished.error().message;
}

}  // namespace
}  // namespace rondo::replay::test
