#include "replay/format/recording_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "replay/format/blob_store.h"
#include "replay/format/chunk.h"
#include "replay/format/digest.h"
#include "replay/format/files.h"
#include "replay/format/index.h"

namespace rondo::replay {
namespace {

constexpr u64 kFirstIndexAfter = 16;  // chunks; then whenever their number has doubled, so that all of it costs little
constexpr u64 kMaxFlushBytes = kMaxChunkBytes - kMaxEventBytes - (u64{1} << 20);

// An empty directory, made if it is not there.
Status prepare_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return success();
  if (errno != EEXIST) return errno_error(path, "the recording's directory cannot be made");
  DIR* directory = ::opendir(path.c_str());
  if (!directory) return errno_error(path, "cannot be used for a recording");
  bool empty = true;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  ::closedir(directory);
  if (empty) return success();
  return file_error(path, "is not empty: name a directory that does not exist yet");
}

}  // namespace

struct RecordingWriter::Impl {
  std::string directory;
  std::string log_path;
  Manifest manifest;
  WriterOptions options;
  u64 recording = 0;
  FileDescriptor log;
  std::unique_ptr<ChunkBuilder> chunk;
  Index index;  // of what is in the file
  u64 next_index_at = kFirstIndexAfter;
  u64 events = 0;  // appended
  InstrCount last_count;
  bool finished = false;
  std::optional<Error> failure;  // sticky
  u64 last_seen_ns = 0;          // what flush_if_older() was told last
  u64 pending_since_ns = 0;      // the same when the oldest buffered event came

  Status usable() const {
    if (failure) return *failure;
    if (finished) return file_error(log_path, "the recording is finished");
    return success();
  }
  Status fail(const Error& cause);
  Result<u64> append(const Moment& moment, const EventBody& body);
  Status flush();
  Status write_index(bool durable);
};

// What is buffered is lost; what is in the file is cut back to whole chunks.
Status RecordingWriter::Impl::fail(const Error& cause) {
  const bool cut = ::ftruncate(log.get(), static_cast<off_t>(index.end_offset)) == 0;
  failure = Error{cause.message + "; the recording is good up to event " + std::to_string(index.events) +
                  (cut ? "" : " (an incomplete chunk follows, which readers skip)") + ", nothing more is recorded"};
  return *failure;
}

Result<u64> RecordingWriter::Impl::append(const Moment& moment, const EventBody& body) {
  if (auto ok = usable(); !ok) return ok.error();
  if (moment.count < last_count) {
    return file_error(log_path, "an event at count " + std::to_string(moment.count.value) +
                                    " cannot follow one at count " + std::to_string(last_count.value));
  }
  if (chunk->empty()) pending_since_ns = last_seen_ns;
  if (auto added = chunk->add(moment, body); !added) return added.error();
  last_count = moment.count;
  const u64 number = events++;
  if (chunk->raw_bytes() >= options.flush_bytes) {
    if (auto flushed = flush(); !flushed) return flushed.error();
  }
  return number;
}

Status RecordingWriter::Impl::flush() {
  if (failure) return *failure;
  if (chunk->empty()) return success();
  const std::vector<u8> bytes = chunk->finish(index.events);
  if (!write_all(log.get(), bytes)) return fail(errno_error(log_path, "cannot be written"));
  const auto header = decode_chunk_header(bytes, recording);
  RONDO_ASSERT(header);
  index.add(*header);
  if (index.chunks.size() >= next_index_at) {
    next_index_at *= 2;
    // A disk that has no room for the index has room for few events more: those say so.
    if (auto written = write_index(false); !written) return success();
  }
  return success();
}

Status RecordingWriter::Impl::write_index(bool durable) {
  return write_file_atomically(directory + "/" + kIndexName, encode_index(index, recording), durable);
}

Result<RecordingWriter> RecordingWriter::create(const std::string& directory, Manifest manifest,
                                                std::span<const NewImage> images, const WriterOptions& options) {
  RONDO_ASSERT(!manifest.recording_id.empty() && manifest.recording_id.size() <= 64);
  if (auto prepared = prepare_directory(directory); !prepared) return prepared.error();
  BlobStore blobs(directory);
  if (!images.empty()) manifest.machine.images.clear();
  for (const NewImage& image : images) {
    auto id = blobs.put(image.bytes);
    if (!id) return id.error();
    manifest.machine.images.push_back({image.role, image.name, *id, image.bytes.size()});
  }
  manifest.format = kFormatVersion;

  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  impl->log_path = directory + "/" + kLogName;
  impl->recording = recording_digest(manifest.recording_id);
  impl->options = options;
  impl->options.flush_bytes = std::min(options.flush_bytes, kMaxFlushBytes);
  impl->chunk = std::make_unique<ChunkBuilder>(manifest.component_names, impl->recording);
  impl->log = FileDescriptor(::open(impl->log_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
  if (!impl->log) return errno_error(impl->log_path, "cannot be made");
  // Tells readers that somebody writes here, until this process ends. They hold the lock for moments only.
  while (::flock(impl->log.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return errno_error(impl->log_path, "cannot be locked");
  }
  if (!write_all(impl->log.get(), encode_log_header(impl->recording))) {
    return errno_error(impl->log_path, "cannot be written");
  }
  // The manifest makes it a recording: there is no event before it, and whoever sees it finds the rest.
  const std::string manifest_path = directory + "/" + kManifestName;
  if (auto written = write_file_atomically(manifest_path, encode_manifest(manifest)); !written) return written.error();
  impl->manifest = std::move(manifest);
  return RecordingWriter(std::move(impl));
}

RecordingWriter::RecordingWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RecordingWriter::RecordingWriter(RecordingWriter&&) noexcept = default;
RecordingWriter& RecordingWriter::operator=(RecordingWriter&&) noexcept = default;

RecordingWriter::~RecordingWriter() {
  if (!impl_ || impl_->finished || impl_->failure) return;
  if (auto flushed = impl_->flush(); !flushed) return;  // nobody is left to be told
}

const std::string& RecordingWriter::directory() const { return impl_->directory; }
const Manifest& RecordingWriter::manifest() const { return impl_->manifest; }
u64 RecordingWriter::events() const { return impl_->events; }

Result<u64> RecordingWriter::append(const Moment& moment, EventBody body) {
  if (std::holds_alternative<End>(body)) return file_error(impl_->log_path, "an end is written by finish()");
  return impl_->append(moment, body);
}

Status RecordingWriter::flush() {
  if (auto ok = impl_->usable(); !ok) return ok;
  return impl_->flush();
}

Status RecordingWriter::flush_if_older(u64 host_ns) {
  Impl& i = *impl_;
  if (i.failure || i.finished) return i.usable();
  i.last_seen_ns = host_ns;
  if (i.chunk->empty() || host_ns - i.pending_since_ns < i.options.flush_age_ns) return success();
  return i.flush();
}

Status RecordingWriter::finish(const Moment& moment, End end) {
  Impl& i = *impl_;
  if (auto appended = i.append(moment, std::move(end)); !appended) return appended.error();
  if (auto flushed = i.flush(); !flushed) return flushed;
  i.finished = true;
  if (::fdatasync(i.log.get()) != 0) return errno_error(i.log_path, "cannot be brought to the disk");
  if (auto written = i.write_index(true); !written) return written;
  for (const Image& image : i.manifest.machine.images) {
    if (auto synced = sync_path(i.directory + "/" + kBlobFolder + "/" + image.blob); !synced) return synced;
  }
  if (!i.manifest.machine.images.empty()) {
    if (auto synced = sync_path(i.directory + "/" + kBlobFolder); !synced) return synced;
  }
  if (auto synced = sync_path(i.directory + "/" + kManifestName); !synced) return synced;
  i.log = FileDescriptor();  // the lock goes: nobody writes here any more
  return sync_path(i.directory);
}

}  // namespace rondo::replay
