#include "harness/recordings/counted.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "harness/recordings/describe.h"
#include "harness/recordings/playback.h"
#include "harness/recordings/start.h"
#include "replay/moments.h"

namespace rondo::recordings {
namespace {

namespace fs = std::filesystem;
using replay::PlayEnd;

constexpr char kCountedFrom[] = "counted-from";  // HostFact: recording id and number of events
constexpr char kDiffers[] = "the replay differs from the recording: ";
constexpr replay::RecordingSettings kSettings{.hash_interval = 100'000'000, .checkpoint_interval = 100'000'000};

// The Moments of a recording while it is replayed, at counts of instructions.
class Recounter final : public Door {
 public:
  Recounter(Playback& playback, replay::RecordingWriter writer, replay::CheckpointWriter checkpoints,
            const CountingProgress& progress)
      : playback_(playback),
        machine_(playback.machine()),
        writer_(std::move(writer)),
        checkpoints_(std::move(checkpoints)),
        progress_(progress) {
    playback.player().on_event([this](const replay::Event& event) { note(event); });
  }
  ~Recounter() override { playback_.player().on_event({}); }

  Result<CountedRecording> run() {
    const PlayEnd end = playback_.player().play({.through = this});
    CountedRecording made;
    if (given_up_) return Error{"given up: the instructions are not counted"};
    if (end == PlayEnd::refused) return *playback_.player().error();
    if (end == PlayEnd::diverged) {
      made.divergence = playback_.player().divergence()->what;
      append(moment(), replay::Remark{kDiffers + *made.divergence});
    }
    if (end == PlayEnd::complete) {
      finish(*playback_.player().end());
    } else if (status_) {
      status_ = writer_.flush();
    }
    if (status_) status_ = checkpoints_.finish();
    if (!status_) return status_.error();
    return made;
  }

  std::optional<InstrCount> next_visit(InstrCount now) override {
    visit_ = playback_.player().next_visit(now);
    return std::min(visit_.value_or(now + kLook), now + kLook);
  }

  bool visit(std::optional<VirtualNs> idle_until) override {
    const u64 event = playback_.player().next_event();
    const bool asked = idle_until || (visit_ && *visit_ <= machine_.clock().count());
    if (asked && !playback_.player().visit(idle_until)) return false;
    if (!idle_until && playback_.player().next_event() == event) consider_state();
    if (progress_ && ++visits_ % kProgressEvery == 0) given_up_ = !progress_(machine_.clock());
    return !given_up_ && status_;
  }
  bool visit_candidate() override { return playback_.player().visit_candidate(); }
  bool visit_search() override {
    if (progress_) given_up_ = !progress_(machine_.clock());
    return !given_up_;
  }

 private:
  static constexpr u64 kLook = 64;  // events
  static constexpr u64 kProgressEvery = 4096;

  void append(const replay::Moment& moment, replay::EventBody body) {
    if (!status_) return;
    if (const Result<u64> number = writer_.append(moment, std::move(body)); !number) status_ = number.error();
  }

  // Here, between two instructions.
  replay::Moment moment() const {
    const CpuState cpu = machine_.engine().state();
    replay::Moment here;
    here.count = machine_.clock().instructions();
    here.time = machine_.clock().now();
    here.rip = cpu.rip;
    here.rcx = cpu.gpr[RCX];
    return here;
  }

  void note(const replay::Event& event) {
    using namespace replay;
    if (std::holds_alternative<StateHash>(event.body) || std::holds_alternative<CheckpointTaken>(event.body) ||
        std::holds_alternative<End>(event.body))
      return;  // of another count
    Moment moment = event.moment;
    moment.count = machine_.clock().instructions();
    moment.synchronous.reset();
    append(moment, event.body);
  }

  // What goes into hashes and snapshots is named by the instruction.
  template <class F>
  void counted(F&& look) {
    Clock& clock = machine_.clock();
    const InstrCount events = clock.count();
    clock.recount(clock.instructions());
    look();
    clock.recount(events);
  }

  // Where an arrival at this count is the only Moment: not in the midst of a REP (which sets RF), not behind a
  // delivery.
  void consider_state() {
    const InstrCount now = machine_.clock().instructions();
    const auto due = checkpoints_.next(last_state_);
    if (!due || now < *due || (machine_.engine().state().rflags & flags::RF) || machine_.engine().deliveries() != 0)
      return;
    last_state_ = now;
    counted([&] {
      replay::StateHash hash = replay::state_hash_of(machine_);
      append(moment(), hash);
      if (!status_) return;
      checkpoints_.add(machine_.snapshot(),
                       {.moment = moment(), .next_event = writer_.events(), .state_hash = std::move(hash)});
    });
  }

  void finish(replay::End end) {
    counted([&] {
      const replay::Moment here = moment();
      replay::StateHash hash = replay::state_hash_of(machine_);
      end.instructions = here.count;
      end.virtual_ns = here.time;
      end.state_hash = hash.total;
      append(here, std::move(hash));
      if (status_) status_ = writer_.finish(here, std::move(end));
    });
  }

  Playback& playback_;
  Machine& machine_;
  replay::RecordingWriter writer_;
  replay::CheckpointWriter checkpoints_;
  const CountingProgress& progress_;
  std::optional<InstrCount> visit_;  // what the player asked for
  InstrCount last_state_;
  u64 visits_ = 0;
  bool given_up_ = false;
  Status status_ = success();
};

std::string source_of(const replay::Manifest& manifest, u64 events) {
  return manifest.recording_id + ", " + std::to_string(events) + " events";
}

// What was made before, if it is of this recording as it is now.
std::optional<CountedRecording> find(const std::string& directory, const std::string& source) {
  Result<replay::RecordingReader> reader = replay::RecordingReader::open(directory);
  if (!reader || reader->writer_is_alive()) return std::nullopt;
  const auto& facts = reader->manifest().host;
  if (std::find(facts.begin(), facts.end(), replay::HostFact{kCountedFrom, source}) == facts.end()) return std::nullopt;
  CountedRecording found{directory, std::nullopt};
  const u64 events = reader->check().events;
  if (reader->validity().ending == replay::LogEnding::damaged) return std::nullopt;
  if (events > 0) {
    reader->seek_event(events - 1);
    const replay::Event* last = reader->next();
    const auto* remark = last ? std::get_if<replay::Remark>(&last->body) : nullptr;
    if (remark && remark->text.starts_with(kDiffers)) found.divergence = remark->text.substr(sizeof kDiffers - 1);
  }
  return found;
}

Result<CountedRecording> make(Playback& playback, const std::string& directory, const std::string& source,
                              const CountingProgress& progress) {
  const replay::Manifest& original = playback.reader().manifest();
  Result<BoardConfig> config = board_config(original, playback.reader().directory());
  if (!config) return config.error();
  replay::Manifest manifest = describe(playback.board(), *config, kSettings, RONDO_VERSION);
  manifest.machine.sampled_time = true;
  manifest.host = original.host;
  manifest.host.push_back({kCountedFrom, source});
  manifest.marks = original.marks;
  Result<replay::RecordingWriter> writer =
      replay::RecordingWriter::create(directory, std::move(manifest), images_of(*config));
  if (!writer) return writer.error();
  Result<replay::CheckpointWriter> checkpoints = start_checkpoints(*writer, playback.board());
  if (!checkpoints) return checkpoints.error();
  return Recounter(playback, std::move(*writer), std::move(*checkpoints), progress).run();
}

}  // namespace

Result<CountedRecording> counted_recording(const std::string& recording, const CountingProgress& progress) {
  Result<std::unique_ptr<Playback>> playback = Playback::open(recording, nullptr);
  if (!playback) return playback.error();
  const replay::Manifest& manifest = (*playback)->reader().manifest();
  if (manifest.machine.engine != kOnKvm) return CountedRecording{recording, std::nullopt};

  const std::string place = recording + "/" + kCountedFolder, unfinished = place + ".new";
  const std::string source = source_of(manifest, (*playback)->reader().check().events);
  if (auto found = find(place, source)) return *found;
  const auto failed = [&](const std::string& why) {
    return Error{"recording '" + recording + "': its instructions could not be counted: " + why};
  };
  if (const auto other = replay::RecordingReader::open(unfinished); other && other->writer_is_alive())
    return failed("another rondo is doing it: wait for that one");
  std::error_code error;
  fs::remove_all(unfinished, error);
  if (error) return failed("'" + unfinished + "' is in the way: " + error.message());
  Result<CountedRecording> made = make(**playback, unfinished, source, progress);
  if (!made) {
    fs::remove_all(unfinished, error);
    return failed(made.error().message);
  }
  fs::remove_all(place, error);
  if (!error) fs::rename(unfinished, place, error);
  if (error) return failed("'" + place + "': " + error.message());
  made->directory = place;
  return made;
}

}  // namespace rondo::recordings
