// Events: what entered a Machine from outside its own evolution, and what a recording notes about the run itself.
// Each has a number (its ordinal in the recording) and the Moment at which it happened.
// On disk: replay/format/recording.fbs, docs/recording-format.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/hash128.h"
#include "core/base/types.h"

namespace rondo::replay {

// The complete state of a Machine as two hashes: names an asynchronous Moment on KVM, where nothing counts
// instructions.
struct Fingerprint {
  Hash128 registers;
  Hash128 memory;
  bool operator==(const Fingerprint&) const = default;
};

// A named point of an execution. Counts never decrease within a recording.
struct Moment {
  InstrCount count;
  VirtualNs time;
  u64 rip = 0;
  u64 rcx = 0;                             // with rip: how far an interrupted REP has come
  std::optional<u64> synchronous;          // KVM: ordinal of the last synchronous event
  std::optional<Fingerprint> fingerprint;  // KVM: which of the points after it
  bool operator==(const Moment&) const = default;
};

// ---- Input: what a replay lets in again at exactly this Moment ----

struct ConsoleInput {
  u8 port = 0;  // which serial port, from 0
  std::vector<u8> bytes;
  bool operator==(const ConsoleInput&) const = default;
};
struct ConsoleBreak {
  u8 port = 0;
  bool operator==(const ConsoleBreak&) const = default;
};
// An idle machine learnt that it is later: the clock skips to woke_at.
struct IdleWake {
  VirtualNs woke_at;
  bool operator==(const IdleWake&) const = default;
};
struct PowerButton {
  bool operator==(const PowerButton&) const = default;
};
struct ResetButton {
  bool operator==(const ResetButton&) const = default;
};
enum class HostTimePurpose : u8 { real_time_clock = 0 };
// The host's clock was read, once, because the user asked for real time.
struct HostTime {
  HostTimePurpose purpose = HostTimePurpose::real_time_clock;
  i64 seconds = 0;  // since 1970, UTC
  u32 nanoseconds = 0;
  bool operator==(const HostTime&) const = default;
};
struct SeedMaterial {
  std::vector<u8> bytes;
  bool operator==(const SeedMaterial&) const = default;
};
// KVM: the virtual time that an exit took from the host. By far the most frequent event: a few bytes each on disk.
struct SampledTime {
  VirtualNs time;
  bool operator==(const SampledTime&) const = default;
};
// KVM: an interrupt delivered where the guest did not exit by itself.
struct AsynchronousInterrupt {
  u8 vector = 0;
  bool operator==(const AsynchronousInterrupt&) const = default;
};

// ---- Notes about the run: a replay compares them ----

struct ComponentHash {
  std::string name;
  Hash128 hash;
  bool operator==(const ComponentHash&) const = default;
};
// What the guest wrote to the first serial port in some stretch of a run.
struct ConsoleOutput {
  u64 bytes = 0;
  Hash128 hash;
  bool operator==(const ConsoleOutput&) const = default;
};
struct StateHash {
  std::vector<ComponentHash> components;  // in the machine's order
  Hash128 total;
  // Since the previous StateHash of the recording, or since the start: a replay that began at one of them is held to
  // every byte too. None in a recording of format 1.0.
  std::optional<ConsoleOutput> console = {};
  bool operator==(const StateHash&) const = default;
  bool same_state(const StateHash& other) const { return total == other.total && components == other.components; }
};
struct CheckpointTaken {
  u64 number = 0;  // checkpoints/<number>.ckpt
  bool operator==(const CheckpointTaken&) const = default;
};
// The last event of a complete recording.
struct End {
  std::string reason;  // to_string(ExitReason), or why the recorder stopped
  std::optional<u32> debug_exit_code;
  InstrCount instructions;
  VirtualNs virtual_ns;
  Hash128 state_hash;
  u64 console_bytes = 0;  // output of the first serial port
  Hash128 console_hash;
  bool operator==(const End&) const = default;
};

// What the recorder has to say to people: "checkpoints/... could not be written: ...".
struct Remark {
  std::string text;
  bool operator==(const Remark&) const = default;
};

// An event of a kind that a newer minor version of the format introduced: there, but without meaning here. A replay
// must refuse it (see refuse_unknown()).
struct Unknown {
  u8 kind = 0;
  bool operator==(const Unknown&) const = default;
};

using EventBody = std::variant<ConsoleInput, ConsoleBreak, IdleWake, PowerButton, ResetButton, HostTime, SeedMaterial,
                               SampledTime, AsynchronousInterrupt, StateHash, CheckpointTaken, End, Remark, Unknown>;

struct Event {
  u64 number = 0;  // from 0, without gaps
  Moment moment;
  EventBody body;
  bool operator==(const Event&) const = default;
};

// "console-input", "state-hash", ...; "unknown-42" for an unknown kind.
std::string kind_name(const EventBody& body);
// One line for people: what it is and what it holds, without number and Moment.
std::string describe(const EventBody& body);

}  // namespace rondo::replay
