// A machine made of nothing but pages: snapshots to write and to compare with.
#pragma once

#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "core/snapshot.h"
#include "replay/checkpoint/chain.h"
#include "replay/checkpoint/store.h"
#include "replay/checkpoint/writer.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay {

// A directory for a recording, gone when the test is over.
class RecordingFolder {
 public:
  RecordingFolder() { std::filesystem::create_directory(path()); }
  std::string path() const { return parent_ / "recording"; }
  // Where the checkpoint of this count is.
  std::string checkpoint(u64 count) const {
    return path() + "/" + kCheckpointFolder + "/" + checkpoint_file_name(InstrCount{count});
  }
  u64 checkpoint_bytes() const {
    u64 bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path() + "/" + kCheckpointFolder)) {
      bytes += entry.file_size();
    }
    return bytes;
  }

 private:
  test::TemporaryFolder parent_;
};

class Random {
 public:
  explicit Random(u64 seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  u64 next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1du;
  }
  u64 below(u64 bound) { return (next() >> 11) % bound; }

 private:
  u64 state_;
};

class FakeMachine {
 public:
  explicit FakeMachine(u64 pages = 256, u64 seed = 1) : pages_(pages), random_(seed) {}

  // Changes some pages: new contents, contents that others have or had, zeros.
  void run(u64 changes) {
    count_ += 1000;
    for (u64 i = 0; i < changes; ++i) {
      const u64 index = random_.below(pages_);
      switch (random_.below(8)) {
        case 0:
          memory_.set(index, PageRef());
          break;
        case 1:
          write(index, random_.below(10));
          break;
        default:
          write(index, random_.next());
      }
    }
  }

  // `value` decides the whole page, which compresses as guest pages do.
  void write(u64 index, u64 value) {
    std::array<u8, kPageSize> page{};
    Random content(value);
    for (u64 at = 0; at < kPageSize; at += 32) {
      const u64 word = content.next();
      std::memcpy(page.data() + at, &word, sizeof word);
    }
    memory_.set(index, pool_->make(page));
  }

  MachineSnapshot snapshot() const {
    MachineSnapshot snapshot;
    for (u64 i = 0; i < 500; ++i) snapshot.state.push_back(static_cast<u8>(count_.value >> (i % 8)));
    snapshot.memory = memory_;
    snapshot.memory_bytes = pages_ * kPageSize;
    snapshot.count = count_;
    snapshot.time = VirtualNs{count_.value + 7};
    return snapshot;
  }

  CheckpointInfo info() const {
    CheckpointInfo info;
    info.moment = {count_,      VirtualNs{count_.value + 7}, 0xffffffff81000000 + count_.value, 3, std::nullopt,
                   std::nullopt};
    info.next_event = count_.value / 500;
    info.state_hash.total = Hash128{count_.value, 5};
    info.state_hash.components = {{"vcpu0", Hash128{1, count_.value}}, {"memory", Hash128{2, count_.value}}};
    return info;
  }

  InstrCount count() const { return count_; }
  PageMap& memory() { return memory_; }

 private:
  u64 pages_;
  Random random_;
  InstrCount count_{0};
  std::shared_ptr<PagePool> pool_ = PagePool::create();
  PageMap memory_;
};

// Empty if they hold the same bytes; otherwise where they differ.
inline std::string difference(const PageMap& a, const PageMap& b) {
  std::string text;
  a.for_each_difference(b, [&](u64 index, const Page* before, const Page* after) {
    const bool same = before && after && std::memcmp(before->bytes().data(), after->bytes().data(), kPageSize) == 0;
    if (!same) text += " " + std::to_string(index);
  });
  return text;
}

inline CheckpointSettings checkpoint_settings(u64 interval, u32 keep, u32 queue) {
  CheckpointSettings settings;
  settings.recording_id = "recording";
  settings.interval = interval;
  settings.keep = keep;
  settings.queue = queue;
  return settings;
}
inline StoreOptions store_options_for_tests() {
  StoreOptions options;
  options.recording_id = "recording";
  return options;
}

// What was written, by count.
using Written = std::map<u64, std::pair<MachineSnapshot, CheckpointInfo>>;

}  // namespace rondo::replay
