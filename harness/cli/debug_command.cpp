#include "harness/cli/debug_command.h"

#include <cstdio>

#include "harness/cli/console.h"
#include "harness/cli/counting.h"
#include "harness/cli/crash_context.h"
#include "harness/cli/exit_status.h"
#include "harness/gdb/recording_search.h"
#include "harness/gdb/replayed_output.h"
#include "harness/gdb/session.h"
#include "harness/host/clock.h"
#include "harness/host/entropy.h"
#include "harness/host/file.h"
#include "harness/recordings/playback.h"

namespace rondo::cli {
namespace {

constexpr u64 kLargestSymbolFile = u64{4} << 30;

int fail(const std::string& message) {
  std::fprintf(stderr, "rondo: %s\n", message.c_str());
  return kBadUsage;
}

void tell(const std::string& line) { std::fprintf(stderr, "rondo: %s\n", line.c_str()); }

Status check(const DebugOptions& o) {
  const bool live = !o.machine.kernel_path.empty();
  if (live == !o.recording.empty()) return Error{"debug what? Name a recording, or a kernel with --kernel"};
  if (o.machine.engine != "software")
    return Error{"--engine '" + o.machine.engine + "': use software, which counts instructions"};
  if (o.machine.cpus != 1) return Error{"--cpus " + std::to_string(o.machine.cpus) + ": only 1 is supported so far"};
  if (o.architecture != "x86-64" && o.architecture != "i386")
    return Error{"--registers '" + o.architecture + "': use x86-64 or i386"};
  return success();
}

Result<gdb::Symbols> read_symbols(const std::string& path) {
  if (path.empty()) return gdb::Symbols{};
  Result<host::FileBytes> file = host::FileBytes::read(path, "symbols", kLargestSymbolFile);
  if (!file) return file.error();
  return gdb::Symbols::read(file->bytes(), path);
}

Result<std::unique_ptr<Board>> live_board(const RunOptions& options, CharacterSink& output) {
  BoardConfig config = options.board;
  if (options.rtc_from_host) config.rtc_start = host::unix_seconds();
  if (options.seed_from_host) config.seed = host::random_u64();
  config.console = &output;
  Result<Image> kernel = Image::read(options.kernel_path, "kernel", config.memory_bytes);
  if (!kernel) return kernel.error();
  Result<Image> initrd = Image::read(options.initrd_path, "initrd", config.memory_bytes);
  if (!initrd) return initrd.error();
  config.kernel = std::move(*kernel);
  config.initrd = std::move(*initrd);
  return Board::create(config);
}

// `event:N` and `end` of a recording.
Result<Position> resolve(replay::RecordingReader& reader, gdb::InputSource& input, const recordings::MomentName& name) {
  using Kind = recordings::MomentName::Kind;
  const u64 position = input.next_event();
  const u64 events = reader.check().events;
  const bool of_event = name.kind == Kind::event;
  if (events == 0 || (of_event && name.value >= events))
    return Error{"there is no such event: the recording has " + std::to_string(events) + ", from 0"};
  reader.seek_event(of_event ? name.value : events - 1);
  const replay::Event* event = reader.next();
  const replay::Moment moment = event ? event->moment : replay::Moment{};
  input.moved(position);
  if (of_event) return Position{moment.count, 0};
  if (name.before_in_ns) return Error{"end-TIME is not known here: use end-N with a number of instructions"};
  if (name.value > moment.count.value)
    return Error{"that is before the start: the end is at instruction " + std::to_string(moment.count.value)};
  return Position{moment.count - name.value, 0};
}

Result<Position> resolve_live(const recordings::MomentName&) {
  return Error{"a live machine has no end and no numbered events: use a count or a time"};
}

}  // namespace

int debug_command(const DebugOptions& options) {
  if (Status checked = check(options); !checked) return fail(checked.error().message);
  const Result<gdb::Symbols> symbols = read_symbols(options.symbols_path);
  if (!symbols) return fail(symbols.error().message);
  const bool live = options.recording.empty();
  Console console(options.machine.console);
  gdb::ReplayedOutput output(console);

  std::string recording;
  if (!live) {
    Result<std::string> counted = with_instructions_counted(options.recording);
    if (!counted) return fail(counted.error().message);
    recording = std::move(*counted);
  }
  Result<std::unique_ptr<Board>> own_board = std::unique_ptr<Board>{};
  Result<std::unique_ptr<recordings::Playback>> playback = std::unique_ptr<recordings::Playback>{};
  if (live)
    own_board = live_board(options.machine, output);
  else
    playback = recordings::Playback::open(recording, &output);
  if (!own_board) return fail(own_board.error().message);
  if (!playback) return fail(playback.error().message);
  Board& board = live ? **own_board : (*playback)->board();
  output.attach(board.clock());

  Result<std::unique_ptr<gdb::Server>> server = gdb::Server::listen(options.gdb);
  if (!server) return fail(server.error().message);
  const host::StopSignals signals;
  if (Status opened = live ? console.open() : console.open_output(); !opened) return fail(opened.error().message);
  const CrashContext context(board.machine());

  bool left = false;
  std::unique_ptr<gdb::InputSource> input;
  if (live) {
    input = std::make_unique<gdb::LiveInput>(board, [&](InputSink& sink, std::optional<VirtualNs> idle_until) {
      left = left || !console.exchange(board, sink, idle_until, std::nullopt);
      return !left;
    });
  } else {
    input = std::make_unique<gdb::RecordedInput>(**playback);
  }
  gdb::TimeTravel travel(board.machine(), *input);
  std::optional<gdb::RecordingSearch> search;
  if (!live) {
    travel.use_kept(gdb::checkpoints_of((*playback)->checkpoints(), (*playback)->reader().check().events));
    search.emplace(recording, (*playback)->checkpoints(), host::processors());
  }
  gdb::Debuggee debuggee(travel, *symbols);
  travel.on_branch_begin([&output] { output.forget(); });
  gdb::Monitor monitor(debuggee, [&](const recordings::MomentName& name) {
    return live ? resolve_live(name) : resolve((*playback)->reader(), *input, name);
  });
  if (search) monitor.search_with(*search);
  gdb::Session session(
      **server, debuggee, monitor,
      {.architecture = options.architecture == "i386" ? gdb::Architecture::i386 : gdb::Architecture::x86_64,
       .runs_detached = live,
       .rewound = [&output] { output.rewound(); },
       .stopped = [&] { return left || host::StopSignals::pending() || !console.flush(); },
       .tell = tell});
  if (!(*server)->on_loopback())
    tell("the port can be reached from other computers, and whoever connects controls the machine");
  tell("waiting for gdb; in gdb: target remote " + (*server)->address());
  const bool killed = session.serve();
  console.close();
  if (killed) tell("gdb has ended the machine");
  return killed ? kEnded : kOther;
}

}  // namespace rondo::cli
