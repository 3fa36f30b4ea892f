#include "harness/cli/run_command.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <utility>

#include "harness/cli/console.h"
#include "harness/cli/crash_context.h"
#include "harness/cli/exit_status.h"
#include "harness/cli/progress.h"
#include "harness/host/entropy.h"
#include "harness/host/file.h"
#include "harness/kvm/plan.h"
#include "harness/recordings/start.h"
#include "harness/report.h"
#include "harness/trace.h"
#include "replay/moments.h"
#include "replay/recorder.h"

namespace rondo::cli {
namespace {

constexpr replay::RecordingSettings kDefaults{.hash_interval = 100'000'000, .checkpoint_interval = 100'000'000};
constexpr replay::RecordingSettings kDefaultsOnKvm{.hash_interval = 10'000, .checkpoint_interval = 20'000};

constexpr u64 kMaximumSavedState = u64{64} << 30;

int fail(const std::string& message, int status = kBadUsage) {
  std::fprintf(stderr, "rondo: %s\n", message.c_str());
  return status;
}

// One run with its console, its limits and its recorder.
class RunSession {
 public:
  RunSession(const RunOptions& options, Board& board, Console& console)
      : options_(options),
        board_(board),
        console_(console),
        live_(board.clock().sampled() ? kPollEveryEvents : kPollEvery,
              [this](std::optional<VirtualNs> idle_until) { return exchange(idle_until); }),
        progress_(host::is_terminal(2) && !console.on_terminal() && !console.interactive()),
        start_(host::monotonic_now()),
        first_count_(board.machine().clock().count()) {
    if (options.max_wall_ns) wall_deadline_ = start_ + *options.max_wall_ns;
  }

  Status record(replay::RecordingWriter writer, replay::ConsoleDigest& digest) {
    std::optional<replay::CheckpointWriter> checkpoints;
    if (writer.manifest().settings.checkpoint_interval != 0) {
      Result<replay::CheckpointWriter> started = recordings::start_checkpoints(writer, board_);
      if (!started) return started.error();
      checkpoints.emplace(std::move(*started));
    }
    recorder_.emplace(board_.machine(), board_, live_, digest, std::move(writer));
    if (options_.board.time_source) {
      recorder_->sample_from(*options_.board.time_source);
      board_.machine().clock().use_samples(&*recorder_);
    }
    if (checkpoints) recorder_->add_checkpoints(std::move(*checkpoints));
    return success();
  }
  void plant(recordings::Plants& plants) { plants_ = &plants; }
  void follow(HostTimeSource& host_time) { host_time_ = &host_time; }
  replay::Recorder* recorder() { return recorder_ ? &*recorder_ : nullptr; }

  // Runs to `stop` (or the run's own end). Nothing if `stop` was reached first.
  std::optional<RunResult> run_to(std::optional<InstrCount> stop) {
    RunLimits limits;
    limits.instructions = options_.max_instructions;
    if (stop && (!limits.instructions || *stop < *limits.instructions)) limits.instructions = stop;
    limits.virtual_time = options_.max_time;
    limits.single_step = options_.single_step;
    Door& door = recorder_ ? static_cast<Door&>(*recorder_) : live_;
    const RunResult result = board_.machine().run(limits, plants_ ? &plants_->door(door) : &door);
    const bool at_stop = result.reason == ExitReason::instruction_limit && stop &&
                         board_.machine().clock().count() >= *stop &&
                         (!options_.max_instructions || *stop < *options_.max_instructions);
    if (at_stop) return std::nullopt;
    return result;
  }

  std::string exit_name(const RunResult& result) const {
    return wall_limit_reached_ ? "wall_limit" : std::string(to_string(result.reason));
  }
  bool wall_limit_reached() const { return wall_limit_reached_; }
  // Asked where nothing else comes by: a guest on KVM that computes without events.
  bool wants_out() {
    wall_limit_reached_ |= wall_deadline_ && host::monotonic_now() >= *wall_deadline_;
    return wall_limit_reached_ || host::StopSignals::pending() != 0;
  }
  // Once: the disk that has no room for one checkpoint has none for the next.
  void tell_checkpoint_error() {
    const auto error = recorder_->take_checkpoint_error();
    if (!error || std::exchange(checkpoint_error_told_, true)) return;
    const char* end = console_.interactive() ? "\r\n" : "\n";
    std::fprintf(stderr, "rondo: %s: the recording goes on, seeking in it will take longer%s", error->message.c_str(),
                 end);
  }
  // The end of a run that the host broke off.
  int fail_with_host() {
    const std::string why = board_.machine().engine().failure();
    if (!recorder_) return fail(why, kOther);
    recorder_->break_off(why);
    return fail(why + (recorder_->status() ? "; the recording is good up to here"
                                           : "; the recording too: " + recorder_->status().error().message),
                kOther);
  }
  Report report(const RunResult& result) const {
    Report report =
        make_report(board_.machine(), result, first_count_, static_cast<double>(host::monotonic_now() - start_) / 1e9);
    report.exit = exit_name(result);
    report.engine = options_.engine;
    report.image = board_.image_kind();
    report.text_patches = boot::count_text_patches(board_.text_patches());
    report.seed = options_.board.seed;
    return report;
  }

 private:
  bool exchange(std::optional<VirtualNs> idle_until) {
    if (host::StopSignals::pending()) return false;
    const host::HostNs now = host::monotonic_now();
    if (recorder_) {
      recorder_->tick(now.value);
      tell_checkpoint_error();
    }
    if (wall_deadline_ && now >= *wall_deadline_) {
      wall_limit_reached_ = true;
      return false;
    }
    progress_.update(board_.machine().clock());
    InputSink& sink = recorder_ ? static_cast<InputSink&>(*recorder_) : board_;
    const bool go_on = console_.exchange(board_, sink, idle_until, wall_deadline_);
    if (idle_until && host_time_) host_time_->leave_out();
    return go_on;
  }

  const RunOptions& options_;
  Board& board_;
  Console& console_;
  PollingDoor live_;
  std::optional<replay::Recorder> recorder_;
  recordings::Plants* plants_ = nullptr;
  HostTimeSource* host_time_ = nullptr;
  Progress progress_;
  host::HostNs start_;
  InstrCount first_count_;
  std::optional<host::HostNs> wall_deadline_;
  bool wall_limit_reached_ = false;
  bool checkpoint_error_told_ = false;
};

// The recording's directory, its images and its manifest; the events that were sampled before the start come first.
Result<replay::RecordingWriter> start_recording(const RunOptions& options, const BoardConfig& config, Board& board,
                                                const std::optional<KvmPlan>& plan) {
  const replay::RecordingSettings& defaults = config.engine == EngineKind::kvm ? kDefaultsOnKvm : kDefaults;
  const replay::RecordingSettings settings{
      .hash_interval = options.hash_interval.value_or(defaults.hash_interval),
      .checkpoint_interval = options.checkpoint_interval.value_or(defaults.checkpoint_interval)};
  std::vector<std::string> marks;
  for (const recordings::Plant& plant : options.plants) marks.push_back(plant_mark(plant));
  if (plan) {
    for (const std::string& what : plan->unlogged)
      marks.push_back("not guaranteed if the guest uses " + what + ": on this host KVM cannot log it");
    for (std::string& mark : unpatched_marks(*plan, board)) marks.push_back(std::move(mark));
  }
  Result<replay::RecordingWriter> writer =
      recordings::start_recording(options.record_path, board, config, settings, std::move(marks));
  if (!writer) return writer;
  const replay::Moment start = replay::moment_of(board.machine());
  if (options.rtc_from_host) {
    if (Result<u64> added = writer->append(start, replay::HostTime{.seconds = config.rtc_start}); !added)
      return added.error();
  }
  if (options.seed_from_host) {
    std::vector<u8> bytes(8);
    for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<u8>(config.seed >> (8 * i));
    if (Result<u64> added = writer->append(start, replay::SeedMaterial{std::move(bytes)}); !added) return added.error();
  }
  return writer;
}

Status save_machine(Board& board, const std::string& path) {
  Result<host::AtomicFile> file = host::AtomicFile::create(path, "saved machine");
  if (!file) return file.error();
  return file->commit(board.save());
}

// Runs with what is to happen on the way: tracing or saving.
Result<RunResult> run_with_stations(const RunOptions& options, Board& board, RunSession& session,
                                    std::ostream* trace_output) {
  if (options.save_at) {
    if (const auto ended = session.run_to(options.save_at)) return *ended;
    if (Status saved = save_machine(board, options.save_path); !saved) return saved.error();
  }
  if (options.trace) {
    if (const auto ended = session.run_to(options.trace->from)) return *ended;
    Tracer tracer(board.machine(), *trace_output);
    while (board.machine().clock().count() < options.trace->to) {
      tracer.before();
      const auto ended = session.run_to(board.machine().clock().count() + 1);
      tracer.after();
      if (ended) return *ended;
    }
  }
  return *session.run_to(std::nullopt);
}

void tell_end(const Report& report, Machine& machine, const RunResult& result, bool terminal) {
  for (const UnsupportedInstruction& u : report.unsupported) {
    std::fprintf(stderr,
                 "rondo: the guest executed an instruction that the CPU model does not have: %s at 0x%llx (%llu times, "
                 "#UD each time)\n",
                 u.bytes.c_str(), static_cast<unsigned long long>(u.rip), static_cast<unsigned long long>(u.times));
  }
  if (exit_status(result.reason) == kGuestBroke) {
    const bool halted = result.reason == ExitReason::halted;
    std::fprintf(stderr, "rondo: the guest %s after %llu %s, RIP 0x%llx: look at the last instructions with --trace\n",
                 halted ? "halted and nothing can wake it" : "ended with a triple fault",
                 static_cast<unsigned long long>(report.instructions), report.counted.c_str(),
                 static_cast<unsigned long long>(machine.engine().state().rip));
  } else if (terminal) {
    std::fprintf(stderr, "rondo: %s after %llu %s, %.3f s virtual, %.2f s wall, state %s\n", report.exit.c_str(),
                 static_cast<unsigned long long>(report.instructions), report.counted.c_str(),
                 static_cast<double>(report.virtual_ns) / 1e9, report.wall_s, report.state_hash.c_str());
  }
}

Status check_options(const RunOptions& o) {
  if (o.engine == "kvm") {
    if (o.max_instructions)
      return Error{"--max-instructions: on KVM nothing counts instructions: use --max-time or --max-wall"};
    const std::pair<bool, const char*> software_only[] = {{o.trace.has_value(), "--trace"},
                                                          {o.save_at.has_value(), "--save-at"},
                                                          {!o.restore_path.empty(), "--restore"},
                                                          {o.single_step, "--single-step"},
                                                          {!o.plants.empty(), "--plant"}};
    for (const auto& [given, name] : software_only)
      if (given) return Error{std::string(name) + " is of the software engine: record, and use it on the replay"};
  } else if (o.engine != "software") {
    return Error{"--engine '" + o.engine + "' is not known: use software or kvm"};
  }
  if (o.cpus != 1) return Error{"--cpus " + std::to_string(o.cpus) + ": only 1 is supported so far"};
  if (o.kernel_path.empty() && o.restore_path.empty())
    return Error{"--kernel is missing: name a bzImage, a vmlinux or a multiboot kernel"};
  if (!o.record_path.empty() && !o.restore_path.empty())
    return Error{"--record and --restore cannot be combined: a recording starts at reset"};
  if (o.save_at && o.trace) return Error{"--save-at and --trace cannot be combined: use two runs"};
  return success();
}

// Fail closed: what a guest could observe unlogged is refused, unless the user insists.
Status check_recordable(const RunOptions& o, const KvmPlan& plan) {
  if (o.record_path.empty() || o.insist || plan.unlogged.empty()) return success();
  std::string what;
  for (std::size_t i = 0; i < plan.unlogged.size(); ++i) what += (i ? ", " : "") + plan.unlogged[i];
  return Error{"--record: on this host a guest on KVM can use " + what +
               " unlogged (rondo doctor): --insist records it anyway, and a replay stops where such a thing is used"};
}

}  // namespace

int run_command(const RunOptions& given) {
  RunOptions options = given;
  if (options.rtc_from_host) options.board.rtc_start = host::unix_seconds();
  if (options.seed_from_host) options.board.seed = host::random_u64();
  if (Status checked = check_options(options); !checked) return fail(checked.error().message);

  std::optional<host::AtomicFile> report_file;
  if (!options.report_path.empty()) {
    Result<host::AtomicFile> created = host::AtomicFile::create(options.report_path, "report");
    if (!created) return fail(created.error().message);
    report_file.emplace(std::move(*created));
  }

  std::optional<KvmPlan> plan;
  std::optional<unsigned> processor;
  HostTimeSource host_time;
  HostKicker kicker(options.kick_every_ns);
  if (options.engine == "kvm") {
    const bool quick = options.record_path.empty() || options.insist;
    const KvmCare care = quick ? KvmCare::speed : KvmCare::completeness;
    Result<KvmPlan> made = plan_kvm(options.kernel_on_kvm ? KvmCare::all_on_kvm : care);
    if (!made) return fail(made.error().message);
    plan = std::move(*made);
    if (Status checked = check_recordable(options, *plan); !checked) return fail(checked.error().message);
    options.board.engine = EngineKind::kvm;
    options.board.kvm = plan->settings;
    options.board.kvm.kicker = &kicker;
    options.board.time_source = &host_time;
    options.board.command_line += plan->kernel_parameters;
    options.board.find_patches = plan->find_patches;
    if (plan->settings.user_cpuid_leaks) {
      Result<SeenProcessor> seen = see_processor();
      if (!seen) return fail(seen.error().message);
      processor = seen->processor;
      options.board.host_cpuid = std::move(seen->shown);
    }
  }

  Console console(options.console);
  replay::ConsoleDigest digest(&console);
  BoardConfig config = options.board;
  config.console = options.record_path.empty() ? static_cast<CharacterSink*>(&console) : &digest;
  host::FileBytes saved;
  if (!options.restore_path.empty()) {
    Result<host::FileBytes> file = host::FileBytes::read(options.restore_path, "saved machine", kMaximumSavedState);
    if (!file) return fail(file.error().message);
    saved = std::move(*file);
    const Result<u64> bytes = Board::saved_memory_bytes(saved.bytes());
    if (!bytes) return fail("saved machine '" + options.restore_path + "': " + bytes.error().message);
    config.memory_bytes = *bytes;
  } else {
    Result<Image> kernel = Image::read(options.kernel_path, "kernel", config.memory_bytes);
    if (!kernel) return fail(kernel.error().message);
    Result<Image> initrd = Image::read(options.initrd_path, "initrd", config.memory_bytes);
    if (!initrd) return fail(initrd.error().message);
    config.kernel = std::move(*kernel);
    config.initrd = std::move(*initrd);
  }
  Result<std::unique_ptr<Board>> board = Board::create(config);
  if (!board) return fail(board.error().message);
  if (!options.restore_path.empty()) {
    if (Status restored = (*board)->restore(saved.bytes()); !restored) {
      return fail("saved machine '" + options.restore_path + "': " + restored.error().message);
    }
    saved = {};
  }

  std::ofstream trace_file;
  if (options.trace && !options.trace->path.empty()) {
    trace_file.open(options.trace->path, std::ios::trunc);
    if (!trace_file) return fail("trace '" + options.trace->path + "': cannot be written");
  }
  Result<std::unique_ptr<recordings::Plants>> plants = recordings::Plants::attach(**board, options.plants, true);
  if (!plants) return fail(plants.error().message);
  std::optional<replay::RecordingWriter> writer;
  if (!options.record_path.empty()) {
    Result<replay::RecordingWriter> started = start_recording(options, config, **board, plan);
    if (!started) return fail(started.error().message);
    writer.emplace(std::move(*started));
  }
  config.kernel = config.initrd = {};  // they are in guest memory now
  const host::StopSignals signals;
  if (Status opened = console.open(); !opened) return fail(opened.error().message);

  const CrashContext context((*board)->machine());
  RunSession session(options, **board, console);
  if (writer) {
    if (Status started = session.record(std::move(*writer), digest); !started) return fail(started.error().message);
  }
  session.plant(**plants);
  if (plan) session.follow(host_time);
  std::optional<host::PinnedThread> pinned;
  if (processor) pinned.emplace(*processor);
  kicker.ask([&session] { return session.wants_out(); });
  Result<RunResult> result = run_with_stations(
      options, **board, session, trace_file.is_open() ? static_cast<std::ostream*>(&trace_file) : &std::cerr);
  console.close();
  if (!result) return fail(result.error().message, kOther);
  if (result->reason == ExitReason::host_failure) return session.fail_with_host();
  if (replay::Recorder* recorder = session.recorder()) {
    std::optional<u32> code;
    if (result->reason == ExitReason::debug_exit) code = result->debug_exit_code;
    const Status finished = recorder->finish(session.exit_name(*result), code);
    if (!(*board)->machine().engine().failure().empty()) return session.fail_with_host();
    if (!finished) return fail(finished.error().message, kOther);
    session.tell_checkpoint_error();
  }

  const Report report = session.report(*result);
  if (!(*board)->machine().engine().failure().empty()) return session.fail_with_host();
  tell_end(report, (*board)->machine(), *result, host::is_terminal(2));
  if (report_file) {
    if (Status written = report_file->commit(to_json(report)); !written) return fail(written.error().message, kOther);
  }
  if (!console.error().empty()) return fail(console.error(), kOther);
  if (trace_file.is_open() && !trace_file.flush())
    return fail("trace '" + options.trace->path + "': cannot be written", kOther);
  return session.wall_limit_reached() ? kLimit : exit_status(result->reason);
}

}  // namespace rondo::cli
