// rondo._rondo: the C++ side of the Python package. harness/python/rondo/__init__.py is what users see.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/board.h"
#include "harness/branches.h"
#include "harness/host/clock.h"
#include "harness/python/common.h"
#include "harness/recordings/start.h"
#include "harness/report.h"
#include "replay/recorder.h"

namespace rondo::python {
namespace {

class PythonMachine;

// A state that any number of machines can start from. Immutable.
struct PythonSnapshot {
  MachineSnapshot state;
  std::shared_ptr<BranchPool> pool;
  std::string image;
  u64 seed = 0;

  std::unique_ptr<PythonMachine> branch() const;
};

class PythonMachine {
 public:
  // `record`: a new directory, if the machine is to be recorded.
  PythonMachine(BoardConfig config, const std::optional<std::string>& record, const replay::RecordingSettings& settings)
      : pool_(std::make_shared<BranchPool>(config)), seed_(config.seed) {
    config.console = record ? static_cast<CharacterSink*>(&digest_) : &sink_;
    own_ = unwrap(Board::create(config));
    board_ = own_.get();
    image_ = board_->image_kind();
    if (!record) return;
    replay::RecordingWriter writer = unwrap(recordings::start_recording(*record, *board_, config, settings, {}));
    std::optional<replay::CheckpointWriter> checkpoints;
    if (settings.checkpoint_interval != 0) checkpoints.emplace(unwrap(recordings::start_checkpoints(writer, *board_)));
    recorder_.emplace(board_->machine(), *board_, live_, digest_, std::move(writer));
    if (checkpoints) recorder_->add_checkpoints(std::move(*checkpoints));
  }
  explicit PythonMachine(const PythonSnapshot& snapshot)
      : pool_(snapshot.pool),
        image_(snapshot.image),
        seed_(snapshot.seed),
        branch_(unwrap(pool_->branch(snapshot.state, &sink_))) {
    board_ = &branch_->board();
  }
  PythonSnapshot snapshot() { return {stopped().snapshot(), pool_, image_, seed_}; }
  // Ends the recording and gives the board back; nothing but the console can be asked any more.
  void close() {
    if (!board_) return;
    stopped();
    Status finished = success();
    if (recorder_) finished = recorder_->finish(last_exit_, last_exit_code_);
    recorder_.reset();
    board_ = nullptr;
    branch_.reset();
    own_.reset();
    unwrap(finished);
  }

  // Called without the GIL.
  Report run(std::optional<u64> max_instructions, std::optional<u64> max_time_ns, std::optional<u64> max_wall_ns,
             const std::optional<std::string>& until, bool single_step) {
    stopped();
    if (running_.exchange(true)) throw PythonError{"the machine is running already, in another thread"};
    Report report = run_alone(max_instructions, max_time_ns, max_wall_ns, until, single_step);
    running_ = false;
    if (raised_) {
      raised_ = false;
      const py::gil_scoped_acquire gil;
      throw py::error_already_set();
    }
    return report;
  }

  void type(const std::string& bytes) {
    const std::lock_guard lock(typed_mutex_);
    typed_.insert(typed_.end(), bytes.begin(), bytes.end());
  }
  py::bytes console() const { return sink_.bytes(); }
  std::string state_hash() { return stopped().state_hash(); }
  u64 instructions() { return stopped().clock().count().value; }
  u64 virtual_ns() { return stopped().clock().now().value; }
  std::string image() const { return image_; }
  py::bytes save() {
    stopped();
    const std::vector<u8> bytes = board_->save();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void restore(const std::string& saved) {
    stopped();
    if (recorder_) throw PythonError{"the machine is recorded: a recording cannot go to another state"};
    unwrap(board_->restore({reinterpret_cast<const u8*>(saved.data()), saved.size()}));
  }

 private:
  Machine& stopped() {
    if (running_) throw PythonError{"the machine is running, in another thread: wait until run() returns"};
    if (!board_) throw PythonError{"the branch is closed: make a new one from its snapshot"};
    return board_->machine();
  }
  void feed_input() {
    const std::lock_guard lock(typed_mutex_);
    while (!typed_.empty() && board_->console_listens()) {
      InputSink& sink = recorder_ ? static_cast<InputSink&>(*recorder_) : *board_;
      sink.enter({.kind = InputKind::console, .bytes = {static_cast<u8>(typed_.front())}});
      typed_.pop_front();
    }
  }
  Report run_alone(std::optional<u64> max_instructions, std::optional<u64> max_time_ns, std::optional<u64> max_wall_ns,
                   const std::optional<std::string>& until, bool single_step) {
    Machine& machine = board_->machine();
    RunLimits limits;
    if (max_instructions) limits.instructions = InstrCount{*max_instructions};
    if (max_time_ns) limits.virtual_time = VirtualNs{*max_time_ns};
    limits.single_step = single_step;
    const host::HostNs start = host::monotonic_now();
    const InstrCount first = machine.clock().count();
    const std::size_t search_from = sink_.size();
    std::string ended_by;
    poll_ = [&] {
      if (recorder_) recorder_->tick(host::monotonic_now().value);
      feed_input();
      if (until && sink_.contains(*until, search_from)) {
        ended_by = "console_match";
        return false;
      }
      if (max_wall_ns && host::monotonic_now() - start >= *max_wall_ns) {
        ended_by = "wall_limit";
        return false;
      }
      const py::gil_scoped_acquire gil;  // Ctrl-C, and whatever else Python's signal handlers raise
      raised_ = PyErr_CheckSignals() != 0;
      return !raised_;
    };
    Door& door = recorder_ ? static_cast<Door&>(*recorder_) : live_;
    const RunResult result = machine.run(limits, &door);
    if (recorder_) unwrap(recorder_->status());
    Report report = make_report(machine, result, first, static_cast<double>(host::monotonic_now() - start) / 1e9);
    if (!ended_by.empty()) report.exit = ended_by;
    report.image = image_;
    report.seed = seed_;
    last_exit_ = report.exit;
    last_exit_code_.reset();
    if (result.reason == ExitReason::debug_exit) last_exit_code_ = result.debug_exit_code;
    return report;
  }

  CollectingSink sink_;
  replay::ConsoleDigest digest_{&sink_};  // in front of it, if the machine is recorded
  std::function<bool()> poll_;            // of the run that goes on
  PollingDoor live_{kPollEvery, [this](std::optional<VirtualNs>) { return poll_(); }};
  std::string last_exit_ = "stopped";
  std::optional<u32> last_exit_code_;
  std::mutex typed_mutex_;
  std::deque<char> typed_;
  std::shared_ptr<BranchPool> pool_;
  std::string image_;
  u64 seed_;
  std::unique_ptr<Board> own_;  // one of the two, until it is closed
  std::optional<Branch> branch_;
  Board* board_ = nullptr;
  std::optional<replay::Recorder> recorder_;
  std::atomic<bool> running_ = false;
  bool raised_ = false;
};

std::unique_ptr<PythonMachine> PythonSnapshot::branch() const { return std::make_unique<PythonMachine>(*this); }

}  // namespace
}  // namespace rondo::python

namespace py = pybind11;

PYBIND11_MODULE(_rondo, module) {
  using namespace rondo;
  using namespace rondo::python;
  using namespace py::literals;
  module.attr("DEFAULT_COMMAND_LINE") = kDefaultCommandLine;
  module.attr("DEFAULT_RTC_START") = kDefaultRtcStart;
  static py::exception<PythonError> error(module, "Error", PyExc_RuntimeError);
  error.attr("__doc__") = "What cannot be done, with the file or value at fault.";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const PythonError& e) {
      error(e.message.c_str());
    }
  });

  add_replay(module);
  py::class_<PythonSnapshot>(module, "Snapshot")
      .def("branch", &PythonSnapshot::branch, py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("instructions", [](const PythonSnapshot& s) { return s.state.count.value; })
      .def_property_readonly("virtual_ns", [](const PythonSnapshot& s) { return s.state.time.value; })
      .def_property_readonly("pages", [](const PythonSnapshot& s) { return s.state.memory.count(); })
      .def("pages_changed_since", [](const PythonSnapshot& s, const PythonSnapshot& base) {
        u64 pages = 0;
        s.state.memory.for_each_difference(base.state.memory, [&](u64, const Page*, const Page*) { ++pages; });
        return pages;
      });

  py::class_<PythonMachine>(module, "Machine")
      .def(py::init([](const std::string& kernel, const std::string& initrd, const std::string& append, u64 memory,
                       u64 seed, i64 rtc_start, const std::optional<std::string>& record, u64 hash_interval,
                       u64 checkpoint_interval) {
             BoardConfig config;
             config.kernel = unwrap(Image::read(kernel, "kernel", memory));
             config.initrd = unwrap(Image::read(initrd, "initrd", memory));
             config.command_line = append;
             config.memory_bytes = memory;
             config.seed = seed;
             config.rtc_start = rtc_start;
             const replay::RecordingSettings settings{.hash_interval = hash_interval,
                                                      .checkpoint_interval = checkpoint_interval};
             return std::make_unique<PythonMachine>(std::move(config), record, settings);
           }),
           py::kw_only(), "kernel"_a, "initrd"_a, "append"_a, "memory"_a, "seed"_a, "rtc_start"_a, "record"_a,
           "hash_interval"_a, "checkpoint_interval"_a)
      .def(
          "run",
          [](PythonMachine& m, std::optional<u64> instructions, std::optional<u64> time_ns, std::optional<u64> wall_ns,
             std::optional<std::string> until, bool single_step) {
            const auto run = [&] {
              const py::gil_scoped_release release;
              return m.run(instructions, time_ns, wall_ns, until, single_step);
            };
            return to_dict(run());
          },
          py::kw_only(), "max_instructions"_a, "max_time_ns"_a, "max_wall_ns"_a, "until"_a, "single_step"_a)
      .def("type", &PythonMachine::type)
      .def("state_hash", &PythonMachine::state_hash, py::call_guard<py::gil_scoped_release>())
      .def("snapshot", &PythonMachine::snapshot, py::call_guard<py::gil_scoped_release>())
      .def("close", &PythonMachine::close)
      .def("save", &PythonMachine::save)
      .def("restore", &PythonMachine::restore)
      .def_property_readonly("console", &PythonMachine::console)
      .def_property_readonly("instructions", &PythonMachine::instructions)
      .def_property_readonly("virtual_ns", &PythonMachine::virtual_ns)
      .def_property_readonly("image", &PythonMachine::image);
}
