// A board as a recording describes it, and back.
#pragma once

#include "harness/board.h"
#include "replay/format/blob_store.h"
#include "replay/format/manifest.h"

namespace rondo::recordings {

// The manifest of a recording of this board, which was just built from `config`. Every recording gets another id.
replay::Manifest describe(Board& board, const BoardConfig& config, const replay::RecordingSettings& settings,
                          const std::string& program_version);

// What to build the board from, with the images out of the blob store; without a console.
Result<BoardConfig> board_config(const replay::Manifest& manifest, const std::string& directory);

}  // namespace rondo::recordings
