#include "harness/recordings/playback.h"

#include <algorithm>

#include "harness/recordings/describe.h"

namespace rondo::recordings {

using replay::PlayEnd;
using replay::PlayTarget;

namespace {

bool is_before(const replay::CheckpointInfo& checkpoint, const PlayTarget& target) {
  if (target.count && checkpoint.moment.count > *target.count) return false;
  if (target.time && checkpoint.moment.time > *target.time) return false;
  if (target.event && checkpoint.next_event > *target.event) return false;
  return true;
}

}  // namespace

Playback::Playback(replay::RecordingReader reader, replay::CheckpointStore checkpoints, CharacterSink* console,
                   std::optional<KvmSettings> kvm)
    : reader_(std::move(reader)), checkpoints_(std::move(checkpoints)), digest_(console), kvm_(kvm) {}

Result<std::unique_ptr<Playback>> Playback::open(const std::string& directory, CharacterSink* console,
                                                 std::optional<KvmSettings> kvm) {
  Result<replay::RecordingReader> reader = replay::RecordingReader::open(directory);
  if (!reader) return reader.error();
  replay::StoreOptions options;
  options.memory_bytes = reader->manifest().machine.memory_bytes;
  options.recording_id = reader->manifest().recording_id;
  Result<replay::CheckpointStore> checkpoints = replay::CheckpointStore::open(directory, options);
  if (!checkpoints) return checkpoints.error();
  std::unique_ptr<Playback> playback(new Playback(std::move(*reader), std::move(*checkpoints), console, kvm));
  if (Status built = playback->build(); !built) return built.error();
  return playback;
}

Status Playback::build() {
  Result<BoardConfig> config = board_config(reader_.manifest(), reader_.directory());
  if (!config) return config.error();
  config->console = &digest_;
  const replay::Manifest& manifest = reader_.manifest();
  const bool sampled = manifest.machine.engine == kOnKvm;
  if (kvm_) {
    if (!sampled)
      return Error{
          "recording '" + reader_.directory() +
          "': the software engine made it and counted instructions, which KVM does not: use --engine software"};
    config->engine = EngineKind::kvm;
    config->kvm = *kvm_;
    // Time stamps of the kernel are events there.
    config->kvm.supervisor_in_software |= has_fact(manifest, kSupervisorFact);
  }
  Result<std::unique_ptr<Board>> board = Board::create(*config);
  if (!board) return Error{"recording '" + reader_.directory() + "': " + board.error().message};
  board_ = std::move(*board);
  player_ = std::make_unique<replay::Player>(board_->machine(), *board_, reader_, &digest_);
  if (sampled || manifest.machine.sampled_time) {
    sampled_ = sampled ? Counted::events : Counted::instructions;
    use_recorded_time();
    if (has_fact(manifest, kUserCpuidFact)) player_->distrust_user_cpuid();
  }
  reader_.seek_event(0);
  return success();
}

void Playback::use_recorded_time() {
  if (sampled_) machine().clock().use_samples(player_.get(), *sampled_);
}

Result<PlayTarget> Playback::resolve(const MomentName& name) {
  PlayTarget target;
  switch (name.kind) {
    case MomentName::Kind::count:
      target.count = InstrCount{name.value};
      return target;
    case MomentName::Kind::time:
      target.time = VirtualNs{name.value};
      return target;
    case MomentName::Kind::event:
    case MomentName::Kind::end:
      break;
  }
  const u64 events = reader_.check().events;
  const std::string who = "recording '" + reader_.directory() + "': ";
  if (name.kind == MomentName::Kind::event) {
    if (name.value >= events)
      return Error{who + "there is no event " + std::to_string(name.value) + ": it has " + std::to_string(events) +
                   ", from 0"};
    target.event = name.value;
    return target;
  }
  if (name.value == 0) return target;
  if (events == 0) return Error{who + "it has no events, so nothing is known of its end"};
  const u64 position = reader_.position();
  reader_.seek_event(events - 1);
  const replay::Event* last = reader_.next();
  const replay::Moment end = last ? last->moment : replay::Moment{};
  reader_.seek_event(position);
  const u64 reach = name.before_in_ns ? end.time.value : end.count.value;
  if (name.value > reach)
    return Error{who + "that Moment is before its start: the end is at " + std::to_string(end.count.value) +
                 " instructions, " + std::to_string(end.time.value) + " ns"};
  if (name.before_in_ns)
    target.time = end.time - name.value;
  else
    target.count = end.count - name.value;
  return target;
}

const replay::StoredCheckpoint* Playback::nearest_checkpoint(const PlayTarget& target) const {
  const replay::StoredCheckpoint* nearest = nullptr;
  for (const replay::StoredCheckpoint& checkpoint : checkpoints_.checkpoints()) {
    // The events up to it must be there, or nothing is known of what comes after it.
    if (is_before(checkpoint.info, target) && checkpoint.info.next_event <= reader_.validity().events)
      nearest = &checkpoint;
  }
  return nearest;
}

// Restores the nearest checkpoint if that is better than going on from here, or than starting again if the way is back.
// A damaged one is left out, and the next one tried.
Result<bool> Playback::restore_nearer(const PlayTarget& target, bool back) {
  while (const replay::StoredCheckpoint* checkpoint = nearest_checkpoint(target)) {
    if (!back && checkpoint->info.moment.count <= machine().clock().count()) return false;
    Result<replay::LoadedCheckpoint> loaded = checkpoints_.load(checkpoint->number);
    if (!loaded) continue;
    if (Status restored = machine().restore(loaded->snapshot); !restored) return restored.error();
    player_->moved(loaded->info.next_event);
    return true;
  }
  return false;
}

Result<PlayEnd> Playback::seek(const PlayTarget& target) {
  if (target.count || target.time || target.event) {
    const Clock& clock = machine().clock();
    const bool back = (target.count && *target.count < clock.count()) || (target.time && *target.time < clock.now()) ||
                      (target.event && *target.event < player_->next_event());
    const Result<bool> restored = restore_nearer(target, back);
    if (!restored) return restored.error();
    if (back && !*restored) {
      if (Status built = build(); !built) return built.error();
    }
  }
  return player_->play(target);
}

std::string exit_name(PlayEnd end, const replay::Player& player) {
  switch (end) {
    case PlayEnd::target:
      return "target";
    case PlayEnd::complete:
      return player.end()->reason;
    case PlayEnd::cut_off:
      return "recording_cut_off";
    case PlayEnd::diverged:
      return "divergence";
    case PlayEnd::refused:
      break;
  }
  return "refused";
}

}  // namespace rondo::recordings
