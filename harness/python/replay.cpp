// rondo._rondo.replay(), and how a report looks in Python.
#include <pybind11/stl.h>

#include <optional>

#include "harness/host/clock.h"
#include "harness/python/common.h"
#include "harness/recordings/playback.h"

namespace rondo::python {

using namespace py::literals;

py::dict to_dict(const Report& r) {
  py::dict components;
  for (const auto& [name, hash] : r.components) components[py::str(name)] = hash;
  py::list unsupported;
  for (const UnsupportedInstruction& u : r.unsupported) {
    unsupported.append(py::dict(py::arg("bytes") = u.bytes, py::arg("rip") = u.rip, py::arg("times") = u.times));
  }
  using namespace py::literals;
  return py::dict("exit"_a = r.exit, "debug_exit_code"_a = r.debug_exit_code, "instructions"_a = r.instructions, "counted"_a = r.counted,
                  "virtual_ns"_a = r.virtual_ns, "state_hash"_a = r.state_hash, "components"_a = components,
                  "wall_s"_a = r.wall_s, "mips"_a = r.mips, "peak_memory_bytes"_a = r.peak_memory_bytes,
                  "touched_bytes"_a = r.touched_bytes, "engine"_a = r.engine, "image"_a = r.image,
                  "memory_bytes"_a = r.memory_bytes, "seed"_a = r.seed, "unsupported"_a = unsupported);
}

namespace {

py::object divergence_dict(const std::optional<replay::Divergence>& divergence) {
  if (!divergence) return py::none();
  return py::dict("what"_a = divergence->what, "event"_a = divergence->event,
                  "instructions"_a = divergence->found.count.value, "components"_a = divergence->components,
                  "last_equal"_a = divergence->last_equal.value);
}

py::dict replay(const std::string& directory, const std::optional<std::string>& to, bool single_step) {
  const host::HostNs start = host::monotonic_now();
  CollectingSink console;
  std::unique_ptr<recordings::Playback> playback;
  std::optional<replay::PlayEnd> end;
  Report report;
  bool raised = false;
  {
    const py::gil_scoped_release release;
    playback = unwrap(recordings::Playback::open(directory, &console));
    replay::PlayTarget target;
    if (to) target = unwrap(playback->resolve(unwrap(recordings::parse_moment(*to))));
    target.single_step = single_step;
    playback->player().on_progress(kPollEvery, [&] {
      const py::gil_scoped_acquire gil;  // Ctrl-C, and whatever else Python's signal handlers raise
      raised = PyErr_CheckSignals() != 0;
      return !raised;
    });
    end = unwrap(playback->seek(target));
    report = make_report(playback->machine(), RunResult{}, InstrCount{0},
                         static_cast<double>(host::monotonic_now() - start) / 1e9);
  }
  if (raised) throw py::error_already_set();
  replay::Player& player = playback->player();
  if (*end == replay::PlayEnd::refused) throw PythonError{player.error()->message};
  report.exit = recordings::exit_name(*end, player);
  if (player.end()) report.debug_exit_code = player.end()->debug_exit_code.value_or(0);
  report.image = playback->board().image_kind();
  report.seed = playback->reader().manifest().machine.seed;
  return py::dict("report"_a = to_dict(report), "console"_a = py::bytes(console.bytes()),
                  "complete"_a = *end == replay::PlayEnd::complete, "hashes_checked"_a = player.hashes_checked(),
                  "next_event"_a = player.next_event(), "divergence"_a = divergence_dict(player.divergence()));
}

}  // namespace

void add_replay(py::module_& module) {
  module.def("replay", &replay, "directory"_a, py::kw_only(), "to"_a, "single_step"_a);
}

}  // namespace rondo::python
