// The beginning of a recording: what a recorder of this board needs.
#pragma once

#include "harness/board.h"
#include "replay/checkpoint/writer.h"
#include "replay/format/recording_writer.h"

namespace rondo::recordings {

// What goes into a recording of a board; the bytes stay the configuration's.
std::vector<replay::NewImage> images_of(const BoardConfig& config);
// Makes the directory, with the images and the manifest. The board was just built from `config`, whose images are still
// there. `marks`: what is not guaranteed.
Result<replay::RecordingWriter> start_recording(const std::string& directory, Board& board, const BoardConfig& config,
                                                const replay::RecordingSettings& settings,
                                                std::vector<std::string> marks);
// For its checkpoints, at the interval of its settings.
Result<replay::CheckpointWriter> start_checkpoints(const replay::RecordingWriter& recording, Board& board);

}  // namespace rondo::recordings
