// A board as a recording describes it, and back.
#pragma once

#include "harness/board.h"
#include "replay/format/blob_store.h"
#include "replay/format/manifest.h"
#include "replay/format/recording_reader.h"

namespace rondo::recordings {

// Manifest's machine.engine, if it ran on KVM: time was sampled and the count is that of synchronous events.
inline constexpr char kOnKvm[] = "kvm";

// HostFact of a recording: CPUID at CPL 3 was not masked, so a replay cannot know what it showed.
inline constexpr char kUserCpuidFact[] = "kvm-user-cpuid";
// HostFact: the software engine ran all but CPL 3, so that its time stamps are logged.
inline constexpr char kSupervisorFact[] = "kvm-supervisor";

// What programs saw of the host of a recording; none: the model.
std::optional<HostCpuid> host_cpuid_of(const replay::MachineConfiguration& machine);
bool has_fact(const replay::Manifest& manifest, std::string_view name);

// The manifest of a recording of this board, which was just built from `config`. Every recording gets another id.
replay::Manifest describe(Board& board, const BoardConfig& config, const replay::RecordingSettings& settings,
                          const std::string& program_version);

// What to build the board from, with the images out of the blob store; without a console.
Result<BoardConfig> board_config(const replay::Manifest& manifest, const std::string& directory);

}  // namespace rondo::recordings
