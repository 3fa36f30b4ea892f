#include "harness/recordings/start.h"

#include <algorithm>

#include "harness/recordings/describe.h"

namespace rondo::recordings {

std::vector<replay::NewImage> images_of(const BoardConfig& config) {
  std::vector<replay::NewImage> images;
  images.push_back({"kernel", config.kernel.name, config.kernel.bytes});
  if (config.initrd.given()) images.push_back({"initrd", config.initrd.name, config.initrd.bytes});
  return images;
}

Result<replay::RecordingWriter> start_recording(const std::string& directory, Board& board, const BoardConfig& config,
                                                const replay::RecordingSettings& settings,
                                                std::vector<std::string> marks) {
  replay::Manifest manifest = describe(board, config, settings, RONDO_VERSION);
  manifest.marks = std::move(marks);
  return replay::RecordingWriter::create(directory, std::move(manifest), images_of(config));
}

Result<replay::CheckpointWriter> start_checkpoints(const replay::RecordingWriter& recording, Board& board) {
  PhysicalMemory& memory = board.machine().memory();
  replay::CheckpointSettings settings;
  settings.recording_id = recording.manifest().recording_id;
  settings.interval = recording.manifest().settings.checkpoint_interval;
  settings.pool = memory.page_pool();
  settings.loaded_pages = memory.touched_pages();
  settings.ready_pages = std::min(settings.ready_pages, memory.page_count() - settings.loaded_pages);
  return replay::CheckpointWriter::create(recording.directory(), settings);
}

}  // namespace rondo::recordings
