// The `rondo` command.
#include <CLI/CLI.hpp>

#include "harness/cli/debug_command.h"
#include "harness/cli/decoder_command.h"
#include "harness/cli/diff_command.h"
#include "harness/cli/doctor_command.h"
#include "harness/cli/exit_status.h"
#include "harness/cli/info_command.h"
#include "harness/cli/pack_command.h"
#include "harness/cli/replay_command.h"
#include "harness/cli/run_command.h"
#include "harness/host/terminal.h"

namespace rondo::cli {
namespace {

constexpr char kVersion[] = RONDO_VERSION;

constexpr char kRunExamples[] =
    "Examples:\n"
    "  rondo run --kernel vmlinuz --initrd initrd.img\n"
    "  rondo run --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 quiet' --memory 1G\n"
    "  rondo run --kernel vmlinuz --initrd initrd.img --console boot.log --report boot.json --max-time 60s\n"
    "  rondo run --kernel test.elf --trace 1000..1100\n"
    "\n"
    "On a terminal, Ctrl-A x leaves and Ctrl-A h helps. Exit status: 0 the guest ended by itself, 1 stopped or a host "
    "failure,\n"
    "2 bad usage or input, or KVM cannot be used here, 3 a limit was reached, 5 the guest broke.";

// CLI11 calls this for an option with a value of ours; its error becomes the one line that the user sees.
template <class Parse, class Store>
CLI::Option* add_value(CLI::App& app, const std::string& name, Parse parse, Store store, const std::string& help,
                       const std::string& type) {
  return app
      .add_option_function<std::string>(
          name,
          [=](const std::string& text) {
            auto value = parse(text);
            if (!value) throw CLI::ValidationError(name, value.error().message);
            store(std::move(*value));
          },
          help)
      ->type_name(type);
}

Result<std::optional<u64>> parse_seed(const std::string& text) {
  if (text == "random") return std::optional<u64>{};
  const Result<u64> value = parse_count(text);
  if (!value) return Error{"'" + text + "' is not valid: use a number, or random"};
  return std::optional<u64>{*value};
}

Result<std::optional<i64>> parse_rtc_start(const std::string& text) {
  if (text == "now") return std::optional<i64>{};
  const Result<i64> value = parse_time(text);
  if (!value) return value.error();
  return std::optional<i64>{*value};
}

// A fault on purpose, for Rondo's own tests: not shown (harness/recordings/plant.h).
void add_plants(CLI::App& app, const std::string& name, std::vector<recordings::Plant>& plants) {
  app.add_option_function<std::vector<std::string>>(name,
                                                    [=, &plants](const std::vector<std::string>& texts) {
                                                      for (const std::string& text : texts) {
                                                        const Result<recordings::Plant> plant =
                                                            recordings::parse_plant(text);
                                                        if (!plant)
                                                          throw CLI::ValidationError(name, plant.error().message);
                                                        plants.push_back(*plant);
                                                      }
                                                    })
      ->allow_extra_args(false)
      ->group("");
}

// What a live machine is.
void add_machine(CLI::App& app, RunOptions& o) {
  app.add_option("--kernel", o.kernel_path, "Linux bzImage, ELF vmlinux or multiboot 1 kernel")->type_name("FILE");
  app.add_option("--initrd", o.initrd_path, "initial RAM disk (a multiboot kernel gets it as its module)")
      ->type_name("FILE");
  app.add_option("--append", o.board.command_line, "kernel command line")->type_name("TEXT")->capture_default_str();
  add_value(
      app, "--memory", parse_size, [&o](u64 v) { o.board.memory_bytes = v; }, "guest memory [256M]", "SIZE");
  app.add_option("--cpus", o.cpus, "number of vCPUs; only 1 so far")->type_name("N")->capture_default_str();
  app.add_option("--engine", o.engine, "what executes the guest: software, or kvm (see rondo doctor)")
      ->type_name("NAME")
      ->capture_default_str();
  add_value(
      app, "--seed", parse_seed,
      [&o](std::optional<u64> v) {
        o.seed_from_host = !v;
        if (v) o.board.seed = *v;
      },
      "seed of everything the machine draws, or `random` [0]", "N");
  add_value(
      app, "--rtc-start", parse_rtc_start,
      [&o](std::optional<i64> v) {
        o.rtc_from_host = !v;
        if (v) o.board.rtc_start = *v;
      },
      "what the guest's clock shows at reset, UTC, or `now` [2023-11-14T22:13:20]", "TIME");
}

void add_run(CLI::App& app, RunOptions& o) {
  app.footer(kRunExamples);
  add_machine(app, o);
  add_value(
      app, "--max-instructions", parse_count, [&o](u64 v) { o.max_instructions = InstrCount{v}; },
      "end after exactly this many instructions", "N");
  add_value(
      app, "--max-time", parse_duration, [&o](u64 v) { o.max_time = VirtualNs{v}; },
      "end at this virtual time, such as 60s", "TIME");
  add_value(
      app, "--max-wall", parse_duration, [&o](u64 v) { o.max_wall_ns = v; },
      "end after this much host time (where exactly is not reproducible)", "TIME");
  app.add_option("--console", o.console, "serial console: stdio, none or a file for its output")
      ->type_name("WHERE")
      ->capture_default_str();
  app.add_option("--report", o.report_path, "write a report as JSON")->type_name("FILE");
  app.add_option("--record", o.record_path, "record the run into this new directory (see rondo replay)")
      ->type_name("DIR");
  add_value(
      app, "--hash-interval", parse_count, [&o](u64 v) { o.hash_interval = v; },
      "with --record: instructions between state hashes, 0: only at the end [100M; on KVM 10k events]", "N");
  add_value(
      app, "--checkpoint-interval", parse_count, [&o](u64 v) { o.checkpoint_interval = v; },
      "with --record: instructions between the first checkpoints, 0: none [100M; on KVM 20k events]", "N");
  add_value(
      app, "--trace", parse_trace_range, [&o](TraceRange v) { o.trace = std::move(v); },
      "write every instruction between two counts, with the registers it changed", "FROM..TO[=FILE]");
  app.add_flag("--insist", o.insist,
               "with --record on KVM: record although this host lets a guest see what no log can hold");
  add_value(
      app, "--kick-every", parse_duration, [&o](u64 v) { o.kick_every_ns = v; },
      "on KVM: how often a guest that computes without events is interrupted [1ms]", "TIME");
  // For Rondo's own tests: not shown.
  app.add_flag("--kernel-on-kvm", o.kernel_on_kvm, "on KVM: the kernel's code too, where KVM emulates it")->group("");
  app.add_flag("--single-step", o.single_step, "the reference drive")->group("");
  add_value(
      app, "--save-at", parse_count, [&o](u64 v) { o.save_at = InstrCount{v}; }, "save the machine at this count", "N")
      ->group("");
  app.add_option("--save-to", o.save_path, "where --save-at saves it")->group("");
  app.add_option("--restore", o.restore_path, "start from a saved machine")->group("");
  add_plants(app, "--plant", o.plants);
  app.get_option("--save-at")->needs("--save-to");
}

constexpr char kReplayExamples[] =
    "Examples:\n"
    "  rondo replay crash.rec\n"
    "  rondo replay crash.rec --to 1.5G --report there.json\n"
    "  rondo replay crash.rec --to end-1000 --console none\n"
    "  rondo replay live.rec --follow\n"
    "\n"
    "Exit status: that of the recorded run after a complete replay; 3 at the Moment of --to, or where an unfinished "
    "recording is cut off;\n"
    "4 the replay differs from the recording; 2 bad usage, or not a recording.";

void add_replay(CLI::App& app, ReplayOptions& o) {
  app.footer(kReplayExamples);
  app.add_option("recording", o.directory, "directory that rondo run --record made")->type_name("DIR")->required();
  app.add_option("--to", o.to, "stop at this Moment: a count, a virtual time, event:N, end, end-N")
      ->type_name("MOMENT");
  app.add_option("--engine", o.engine, "what executes the guest: software, or kvm for a recording made there")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_flag("--insist", o.insist,
               "with --engine kvm: replay although this host lets a guest see what the recording does not hold");
  app.add_option("--console", o.console, "the guest's output: stdio, none or a file")
      ->type_name("WHERE")
      ->capture_default_str();
  app.add_option("--report", o.report_path, "write a report as JSON")->type_name("FILE");
  app.add_flag("--follow", o.follow, "the recording is still being written: wait for more");
  app.add_flag("--single-step", o.single_step, "the reference drive")->group("");
  add_plants(app, "--plant", o.plants);
}

constexpr char kDiffExamples[] =
    "Examples:\n"
    "  rondo diff monday.rec tuesday.rec\n"
    "  rondo diff crash.rec --json\n"
    "\n"
    "Exit status: 0 no difference, 4 a difference (with the instruction, if replays show it), 2 bad usage, or not a "
    "recording.";

void add_diff(CLI::App& app, DiffOptions& o) {
  app.footer(kDiffExamples);
  app.add_option("recordings", o.recordings, "two recordings; or one, which is compared with its replay")
      ->type_name("DIR")
      ->required()
      ->expected(1, 2);
  app.add_flag("--json", o.json, "the result as JSON");
  add_plants(app, "--plant-a", o.plants_a);
  add_plants(app, "--plant-b", o.plants_b);
}

constexpr char kDebugExamples[] =
    "Examples:\n"
    "  rondo debug crash.rec --symbols vmlinux\n"
    "  rondo debug --kernel vmlinuz --initrd initrd.img --gdb 127.0.0.1:1234\n"
    "  gdb vmlinux -ex 'target remote 127.0.0.1:1234'\n"
    "\n"
    "gdb's reverse-stepi, reverse-continue and the like work; `monitor help` shows what else there is. Exit status: 0 "
    "ended by gdb "
    "(kill),\n"
    "1 stopped, 2 bad usage, or not a recording.";

void add_debug(CLI::App& app, DebugOptions& o) {
  app.footer(kDebugExamples);
  app.add_option("recording", o.recording, "a recording's directory; or use --kernel for a live machine")
      ->type_name("DIR");
  add_machine(app, o.machine);
  app.add_option("--console", o.machine.console, "serial console: stdio, none or a file for its output")
      ->type_name("WHERE")
      ->capture_default_str();
  app.add_option("--gdb", o.gdb,
                 "where gdb connects: [HOST:]PORT; without a host on loopback only; port 0 takes a free one")
      ->type_name("ADDRESS")
      ->capture_default_str();
  app.add_option("--symbols", o.symbols_path, "ELF file (vmlinux) with names for addresses in messages")
      ->type_name("FILE");
  app.add_option("--registers", o.architecture, "the registers gdb is told of: x86-64, or i386 for 32-bit guests")
      ->type_name("SET")
      ->capture_default_str();
}

int main_program(int argc, char** argv) {
  host::occupy_standard_descriptors();
  CLI::App app{"Rondo: a deterministic full-system x86-64 simulator.", "rondo"};
  app.require_subcommand(1);
  app.set_version_flag("--version", kVersion);

  RunOptions run_options;
  CLI::App* run = app.add_subcommand("run", "boot a machine and run it to its end or to a limit");
  add_run(*run, run_options);

  ReplayOptions replay_options;
  CLI::App* replay = app.add_subcommand("replay", "run a recording again, bit for bit, and verify it");
  add_replay(*replay, replay_options);

  DiffOptions diff_options;
  CLI::App* diff = app.add_subcommand(
      "diff", "find the first instruction at which two recordings differ, or a recording and its replay");
  add_diff(*diff, diff_options);

  DebugOptions debug_options;
  CLI::App* debug = app.add_subcommand("debug", "serve gdb, forwards and backwards, on a recording or a live machine");
  add_debug(*debug, debug_options);

  CLI::App* decoder = app.add_subcommand("decoder", "what the decoder and the CPU model know");
  decoder->require_subcommand(1);
  bool json = false, all = false;
  CLI::App* coverage =
      decoder->add_subcommand("coverage", "which of LLVM's opcodes are implemented, which give #UD, and why");
  coverage->add_flag("--json", json, "every opcode, as JSON");
  coverage->add_flag("--all", all, "every opcode, not only the summary");

  bool doctor_json = false;
  CLI::App* doctor = app.add_subcommand(
      "doctor", "what this host can run, record, replay and guarantee, and why not (exit status 0 or 3)");
  doctor->add_flag("--json", doctor_json, "for machines");
  std::string recording, packed_file;
  bool info_json = false;
  CLI::App* info = app.add_subcommand("info", "what is in a recording: machine, images, events, checkpoints, end");
  info->add_option("recording", recording, "a recording's directory, or a packed file")->type_name("DIR")->required();
  info->add_flag("--json", info_json, "for machines");
  info->footer("Exit status: 0 complete, 2 not a recording, 6 unfinished, 7 damaged.");
  CLI::App* pack = app.add_subcommand("pack", "make one self-contained file of a recording, to send to somebody");
  pack->add_option("recording", recording, "the recording's directory")->type_name("DIR")->required();
  pack->add_option("file", packed_file, "the file to write")->type_name("FILE")->required();
  CLI::App* unpack = app.add_subcommand("unpack", "make a recording of a packed file; all of it is verified");
  unpack->add_option("file", packed_file, "the packed file")->type_name("FILE")->required();
  unpack->add_option("recording", recording, "the directory to make")->type_name("DIR")->required();

  CLI::App* version = app.add_subcommand("version", "print the version");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "rondo: " << error.what() << " (see rondo --help)\n";
    return kBadUsage;
  }
  if (*run) return run_command(run_options);
  if (*replay) return replay_command(replay_options);
  if (*diff) return diff_command(diff_options);
  if (*debug) return debug_command(debug_options);
  if (*coverage) return decoder_coverage(json, all);
  if (*doctor) return doctor_command(doctor_json);
  if (*info) return info_command(recording, info_json);
  if (*pack) return pack_command(recording, packed_file);
  if (*unpack) return unpack_command(packed_file, recording);
  if (*version) std::cout << "rondo " << kVersion << '\n';
  return kEnded;
}

}  // namespace
}  // namespace rondo::cli

int main(int argc, char** argv) { return rondo::cli::main_program(argc, argv); }
