#include "harness/cli/replay_command.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "harness/cli/console.h"
#include "harness/cli/crash_context.h"
#include "harness/cli/exit_status.h"
#include "harness/cli/progress.h"
#include "harness/host/file.h"
#include "harness/kvm/plan.h"
#include "harness/recordings/describe.h"
#include "harness/recordings/playback.h"
#include "harness/report.h"

namespace rondo::cli {
namespace {

using replay::PlayEnd;

constexpr u64 kFollowPause = 100'000'000;  // ns between looks at a recording that is still being written
constexpr u64 kLookEveryNs = 20'000'000;   // at signals, while a guest on KVM computes without events

int fail(const std::string& message, int status = kBadUsage) {
  std::fprintf(stderr, "rondo: %s\n", message.c_str());
  return status;
}

std::string at(const replay::Moment& m, const std::string& counted) {
  return counted.substr(0, counted.size() - 1) + " " + std::to_string(m.count.value) + ", " +
         std::to_string(m.time.value) + " ns";
}

int status_of(PlayEnd end, const replay::Player& player) {
  switch (end) {
    case PlayEnd::target:
    case PlayEnd::cut_off:
      return kLimit;
    case PlayEnd::complete:
      return exit_status_of(player.end()->reason);
    case PlayEnd::diverged:
      return kDivergence;
    case PlayEnd::refused:
      break;
  }
  return kBadUsage;
}

Status check_options(const ReplayOptions& o) {
  if (o.engine != "software" && o.engine != "kvm")
    return Error{"--engine '" + o.engine + "' is not known: use software or kvm"};
  if (o.engine != "kvm") return success();
  const std::pair<bool, const char*> software_only[] = {{o.single_step, "--single-step"},
                                                        {!o.plants.empty(), "--plant"}};
  for (const auto& [given, name] : software_only)
    if (given) return Error{std::string(name) + " is of the software engine: use --engine software"};
  return success();
}

// How to run on this host's KVM. Fail closed: a guest that could see here what was not recorded is refused, unless the
// user insists.
Result<KvmSettings> settings_of(const ReplayOptions& o, Kicker& kicker, std::optional<unsigned>& processor) {
  const Result<replay::Manifest> manifest = replay::read_manifest(o.directory);
  if (!manifest) return manifest.error();
  const bool programs_only = recordings::has_fact(*manifest, recordings::kSupervisorFact);
  Result<KvmPlan> plan = plan_kvm(programs_only ? KvmCare::completeness : KvmCare::speed);
  if (!plan) return plan.error();
  if (!plan->unlogged.empty() && !o.insist) {
    std::string what;
    for (const std::string& one : plan->unlogged) what += (what.empty() ? "" : ", ") + one;
    return Error{"--engine kvm: on this host a guest on KVM can use " + what +
                 " and see what was not recorded (rondo doctor): --insist tries it, and the state hashes tell; "
                 "--engine software replays exactly, or names the instruction"};
  }
  if (const auto seen = recordings::host_cpuid_of(manifest->machine)) {
    const Result<SeenProcessor> found = see_processor(*seen);
    if (!found && !o.insist)
      return Error{"--engine kvm: " + found.error().message +
                   ": --insist tries it all the same, --engine software replays it everywhere"};
    if (found) processor = found->processor;
  }
  plan->settings.kicker = &kicker;
  return plan->settings;
}

void tell(PlayEnd end, recordings::Playback& playback, replay::Player& player, const Report& report, bool terminal) {
  if (end == PlayEnd::diverged) {
    const replay::Divergence& d = *player.divergence();
    std::fprintf(stderr, "rondo: the replay differs from the recording: %s\n", d.what.c_str());
    std::fprintf(stderr,
                 "rondo: recorded at %s, RIP 0x%llx; replayed at %s, RIP 0x%llx; the last state hash that agreed: "
                 "%s %llu; `rondo diff` finds the instruction\n",
                 at(d.expected, report.counted).c_str(), static_cast<unsigned long long>(d.expected.rip),
                 at(d.found, report.counted).c_str(), static_cast<unsigned long long>(d.found.rip),
                 report.counted.substr(0, report.counted.size() - 1).c_str(),
                 static_cast<unsigned long long>(d.last_equal.value));
  } else if (end == PlayEnd::cut_off) {
    std::fprintf(stderr, "rondo: %s\n", playback.reader().validity().explanation.c_str());
  }
  if (end == PlayEnd::diverged || !terminal) return;
  std::fprintf(
      stderr, "rondo: replayed to %s %llu, %.3f s virtual, %.2f s wall (%s): %llu state hashes agree, state %s\n",
      report.counted.substr(0, report.counted.size() - 1).c_str(), static_cast<unsigned long long>(report.instructions),
      static_cast<double>(report.virtual_ns) / 1e9, report.wall_s, report.exit.c_str(),
      static_cast<unsigned long long>(player.hashes_checked()), report.state_hash.c_str());
}

std::string to_json(const Report& report, PlayEnd end, const replay::Player& player, const Engine& engine) {
  auto json = nlohmann::ordered_json::parse(rondo::to_json(report));
  json["replay"]["complete"] = end == PlayEnd::complete;
  json["replay"]["hashes_checked"] = player.hashes_checked();
  json["replay"]["next_event"] = player.next_event();
  if (const auto* kvm = dynamic_cast<const KvmEngine*>(&engine)) {
    const KvmEngine::Statistics& s = kvm->statistics();
    json["replay"]["kvm"] = {{"exits", s.exits},
                             {"kicks", s.kicks},
                             {"searches", s.searches},
                             {"software_instructions", s.software_instructions},
                             {"user_entries", s.user_entries}};
  }
  if (const auto& d = player.divergence()) {
    auto& out = json["replay"]["divergence"];
    out["what"] = d->what;
    out["event"] = d->event;
    out["expected"] = {
        {"count", d->expected.count.value}, {"virtual_ns", d->expected.time.value}, {"rip", d->expected.rip}};
    out["found"] = {{"count", d->found.count.value}, {"virtual_ns", d->found.time.value}, {"rip", d->found.rip}};
    out["components"] = d->components;
    out["last_equal"] = d->last_equal.value;
  }
  return json.dump(2) + "\n";
}

}  // namespace

int replay_command(const ReplayOptions& options) {
  if (Status checked = check_options(options); !checked) return fail(checked.error().message);
  std::optional<recordings::MomentName> to;
  if (!options.to.empty()) {
    const Result<recordings::MomentName> parsed = recordings::parse_moment(options.to);
    if (!parsed) return fail("--to " + parsed.error().message);
    to = *parsed;
  }
  std::optional<host::AtomicFile> report_file;
  if (!options.report_path.empty()) {
    Result<host::AtomicFile> created = host::AtomicFile::create(options.report_path, "report");
    if (!created) return fail(created.error().message);
    report_file.emplace(std::move(*created));
  }
  std::optional<unsigned> processor;
  HostKicker kicker(kLookEveryNs);
  std::optional<KvmSettings> kvm;
  if (options.engine == "kvm") {
    const Result<KvmSettings> settings = settings_of(options, kicker, processor);
    if (!settings) return fail(settings.error().message);
    kvm = *settings;
  }
  Console console(options.console);
  const host::HostNs start = host::monotonic_now();
  auto opened = recordings::Playback::open(options.directory, &console, kvm);
  if (!opened) return fail(opened.error().message);
  recordings::Playback& playback = **opened;
  replay::PlayTarget target;
  if (to) {
    const Result<replay::PlayTarget> resolved = playback.resolve(*to);
    if (!resolved) return fail(resolved.error().message);
    target = *resolved;
  }
  target.single_step = options.single_step;
  Result<std::unique_ptr<recordings::Plants>> plants =
      recordings::Plants::attach(playback.board(), options.plants, true);
  if (!plants) return fail(plants.error().message);
  target.through = &(*plants)->door(playback.player());

  const host::StopSignals signals;
  if (Status shown = console.open_output(); !shown) return fail(shown.error().message);
  const InstrCount first = playback.machine().clock().count();
  Progress progress(host::is_terminal(2) && !console.on_terminal());
  bool user_stopped = false;
  const auto attend = [&] {
    progress.update(playback.machine().clock());
    user_stopped = host::StopSignals::pending() != 0;
    return console.flush() && !user_stopped;
  };
  kicker.ask([&] { return user_stopped |= host::StopSignals::pending() != 0; });
  const CrashContext context(playback.machine());
  std::optional<host::PinnedThread> pinned;
  if (processor) pinned.emplace(*processor);
  playback.player().on_progress(playback.machine().clock().sampled() ? kPollEveryEvents : kPollEvery, attend);
  Result<PlayEnd> end = playback.seek(target);
  while (end && *end == PlayEnd::cut_off && options.follow && !user_stopped) {
    if (!playback.reader().refresh() && !playback.reader().writer_is_alive() && !playback.reader().refresh()) break;
    if (!attend()) break;
    host::wait_readable(-1, kFollowPause);
    *end = playback.player().play(target);  // in place: with sanitizers g++ 12 warns of a move of the whole Result
  }
  console.close();
  if (!end) return fail(end.error().message);
  replay::Player& player = playback.player();
  if (*end == PlayEnd::refused) return fail(player.error()->message);
  if (*end == PlayEnd::cut_off && user_stopped) *end = PlayEnd::target;
  if (const std::string failure = playback.machine().engine().failure(); !failure.empty()) return fail(failure, kOther);

  Report report =
      make_report(playback.machine(), RunResult{}, first, static_cast<double>(host::monotonic_now() - start) / 1e9);
  report.exit = user_stopped ? "stopped" : recordings::exit_name(*end, player);
  if (player.end()) report.debug_exit_code = player.end()->debug_exit_code.value_or(0);
  report.engine = options.engine;
  report.image = playback.board().image_kind();
  report.seed = playback.reader().manifest().machine.seed;
  tell(*end, playback, player, report, host::is_terminal(2));
  if (report_file) {
    if (Status written = report_file->commit(to_json(report, *end, player, playback.machine().engine())); !written)
      return fail(written.error().message, kOther);
  }
  if (!console.error().empty()) return fail(console.error(), kOther);
  return user_stopped ? kOther : status_of(*end, player);
}

}  // namespace rondo::cli
