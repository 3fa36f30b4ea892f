// The one door through which anything enters a running machine from outside (DESIGN: promise 5).
//
// A door stands between the machine and the world. The live one looks at the host and lets input in; the recording one
// also writes down what came in, and when; the replaying one lets in what was written down, at the same Moments. The
// machine cannot tell them apart.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/base/types.h"

namespace rondo {

enum class InputKind : u8 {
  console,        // bytes arrive at a serial port
  console_break,  // a break condition on its line
  wake,           // an idle machine learns that it is later: the clock skips to `time`, at most to the next timer
  power_button,   // pressed: the guest is asked to shut down (ACPI fixed power button)
  reset_button    // pressed: the run ends with ExitReason::reset
};

struct Input {
  InputKind kind = InputKind::console;
  u8 port = 0;                 // console, console_break: which serial port, 0 is the first
  std::vector<u8> bytes = {};  // console
  VirtualNs time = {};         // wake
};

// Takes input at the Moment at which the machine stands: a board, or a recorder in front of it.
class InputSink {
 public:
  virtual ~InputSink() = default;
  virtual void enter(const Input& input) = 0;
};

class Door {
 public:
  virtual ~Door() = default;
  // The next count, not before `now`, at which the machine must visit. None: only when it idles. Visits never change
  // what the guest does unless something enters.
  virtual std::optional<InstrCount> next_visit(InstrCount now) = 0;
  // The machine stands at a Moment: it has just arrived at the count, and nothing was delivered there yet. With
  // `idle_until` it is halted and about to skip to that time (kNever: nothing is due). Whatever is to enter enters now.
  // False: the run is to end here, with ExitReason::stopped.
  virtual bool visit(std::optional<VirtualNs> idle_until) = 0;
  // The engine has come to a point that it was asked to look for (Engine::set_search). False: as with visit().
  virtual bool visit_candidate() { return true; }
  // Now and then while it looks for such a point and the count stands still. False: as with visit().
  virtual bool visit_search() { return true; }
};

inline constexpr VirtualNs kNever{~u64{0}};

// A door that calls a function at all multiples of `every` and when the machine idles.
class PollingDoor final : public Door {
 public:
  using Poll = std::function<bool(std::optional<VirtualNs> idle_until)>;
  PollingDoor(u64 every, Poll poll) : every_(every), poll_(std::move(poll)) {}
  // Multiples, whatever else ends a slice: input that is ready enters at the same count on every drive.
  std::optional<InstrCount> next_visit(InstrCount now) override {
    return InstrCount{(now.value / every_ + 1) * every_};
  }
  bool visit(std::optional<VirtualNs> idle_until) override { return poll_(idle_until); }

 private:
  u64 every_;
  Poll poll_;
};

}  // namespace rondo
