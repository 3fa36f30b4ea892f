#include "replay/format/recording_reader.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "replay/format/chunk.h"
#include "replay/format/digest.h"
#include "replay/format/envelope.h"
#include "replay/format/files.h"
#include "replay/format/index.h"

namespace rondo::replay {
struct RecordingReader::Impl {
  Impl(const std::string& where, Manifest given)
      : directory(where),
        log_path(where + "/" + kLogName),
        manifest(std::move(given)),
        recording(recording_digest(manifest.recording_id)) {}

  std::string directory;
  std::string log_path;
  Manifest manifest;
  u64 recording;          // digest of its id
  FileDescriptor log;     // none if there is no log that belongs to the manifest
  Index index;            // of the chunks before the first incomplete or bad one, as far as is known
  bool use_index = true;  // false: there is no file 'index' beside the log
  bool ended = false;     // the last of them ends the recording
  LogValidity validity;
  std::optional<ChunkDecoder> chunk;  // of the event read last
  u64 position = 0;

  Status attach(FileDescriptor file);
  void adopt_index();
  void scan(bool decode);
  void rescan(bool decode);
  void stop(LogEnding ending, const std::string& why);
  void stop_damaged(const std::string& why);
  std::optional<ChunkHeader> header_at(u64 offset) const;
  std::optional<std::vector<u8>> payload_of(const ChunkHeader& header, u64 offset) const;
  std::optional<ChunkDecoder> load(u64 place) const;
  bool load_for(u64 number);
  u64 place_of(u64 number) const;
};

void RecordingReader::Impl::stop(LogEnding ending, const std::string& why) {
  validity.ending = ending;
  validity.events = index.events;
  validity.valid_bytes = log ? index.end_offset : 0;
  validity.explanation = file_error(log_path, why).message;
}

void RecordingReader::Impl::stop_damaged(const std::string& why) {
  stop(LogEnding::damaged, "is damaged at byte " + std::to_string(log ? index.end_offset : 0) + ": " + why);
}

// Looks at the headers of the log, if there is one. Fails for another version and for what cannot be read at all.
Status RecordingReader::Impl::attach(FileDescriptor file) {
  if (!file) {
    stop(LogEnding::damaged, "is missing: nothing but the manifest is left of this recording");
    return success();
  }
  const auto size = file_size(file.get(), log_path);
  if (!size) return size.error();
  validity.file_bytes = *size;
  std::vector<u8> header(kLogHeaderBytes);
  const auto got = read_at(file.get(), 0, header, log_path);
  if (!got) return got.error();
  if (*got < kLogHeaderBytes) {
    stop(LogEnding::unfinished, "is cut off within its header");
    return success();
  }
  const auto good = check_log_header(header, recording, log_path);
  if (!good) return good.error();
  if (!*good) {
    stop_damaged("not the log of this recording");
    return success();
  }
  log = std::move(file);
  adopt_index();
  scan(false);
  return success();
}

std::optional<ChunkHeader> RecordingReader::Impl::header_at(u64 offset) const {
  std::array<u8, kChunkHeaderBytes> bytes;
  const auto got = read_at(log.get(), offset, bytes, log_path);
  if (!got || *got < bytes.size()) return std::nullopt;
  return decode_chunk_header(bytes, recording);
}

std::optional<std::vector<u8>> RecordingReader::Impl::payload_of(const ChunkHeader& header, u64 offset) const {
  std::vector<u8> payload(header.payload_bytes);
  const auto got = read_at(log.get(), offset + kChunkHeaderBytes, payload, log_path);
  if (!got || *got < payload.size() || digest64(payload, recording) != header.payload_digest) return std::nullopt;
  return payload;
}

// All chunks that the index names but the last are believed for now, if that one is where it says; load() checks each.
void RecordingReader::Impl::adopt_index() {
  if (!use_index) return;
  const auto file = read_file(directory + "/" + kIndexName, kMaxIndexBytes);
  if (!file) return;
  auto hint = decode_index(*file, recording);
  if (!hint || hint->chunks.empty() || hint->end_offset > validity.file_bytes) return;
  const ChunkPosition last = hint->chunks.back();
  const auto header = header_at(last.offset);
  if (!header || header->first_event != last.first_event || last.offset + header->total_bytes() != hint->end_offset)
    return;
  hint->chunks.pop_back();
  hint->end_offset = last.offset;
  hint->events = last.first_event;
  index = std::move(*hint);
}

// Goes on from the end of the chunks that are known. `decode`: look into each, not only at its digest.
void RecordingReader::Impl::scan(bool decode) {
  while (true) {
    const u64 offset = index.end_offset;
    const u64 left = validity.file_bytes - offset;
    if (ended) {
      return left == 0 ? stop(LogEnding::complete, "is complete")
                       : stop_damaged(std::to_string(left) + " bytes follow the recording's end");
    }
    if (left == 0) return stop(LogEnding::unfinished, "has no end: its writer died or is still writing");
    if (left < kChunkHeaderBytes)
      return stop(LogEnding::unfinished, "ends within a chunk: its writer died or is still writing");
    const auto header = header_at(offset);
    if (!header) return stop_damaged("no chunk starts there");
    if (header->first_event != index.events ||
        (!index.chunks.empty() && header->first_count < index.chunks.back().first_count)) {
      return stop_damaged("the chunk there does not follow the one before it");
    }
    if (left < header->total_bytes()) {
      return stop(LogEnding::unfinished, "ends within a chunk: its writer died or is still writing");
    }
    const auto payload = payload_of(*header, offset);
    if (!payload) return stop_damaged("the digest of the chunk is wrong");
    if (decode && !ChunkDecoder::open(*header, *payload, manifest.component_names)) {
      return stop_damaged("the chunk is malformed");
    }
    index.add(*header);
    ended = header->ends_recording;
  }
}

void RecordingReader::Impl::rescan(bool decode) {
  if (!log) return;
  index = {};
  ended = false;
  chunk.reset();
  if (const auto size = file_size(log.get(), log_path)) validity.file_bytes = *size;
  if (validity.file_bytes < kLogHeaderBytes) return stop(LogEnding::unfinished, "is cut off within its header");
  scan(decode);
}

// The chunk, if it is what the index says and good in every way.
std::optional<ChunkDecoder> RecordingReader::Impl::load(u64 place) const {
  const ChunkPosition& expected = index.chunks[place];
  const bool last = place + 1 == index.chunks.size();
  const u64 end_offset = last ? index.end_offset : index.chunks[place + 1].offset;
  const u64 end_event = last ? index.events : index.chunks[place + 1].first_event;
  const auto header = header_at(expected.offset);
  if (!header || header->first_event != expected.first_event || header->first_count != expected.first_count ||
      expected.offset + header->total_bytes() != end_offset || header->first_event + header->events != end_event ||
      header->ends_recording != (last && ended)) {
    return std::nullopt;
  }
  const auto payload = payload_of(*header, expected.offset);
  if (!payload) return std::nullopt;
  return ChunkDecoder::open(*header, *payload, manifest.component_names);
}

u64 RecordingReader::Impl::place_of(u64 number) const {
  const auto after = std::upper_bound(index.chunks.begin(), index.chunks.end(), number,
                                      [](u64 n, const ChunkPosition& c) { return n < c.first_event; });
  return static_cast<u64>(after - index.chunks.begin()) - 1;
}

// Makes `chunk` the one with this event. On a bad chunk the log ends before it.
bool RecordingReader::Impl::load_for(u64 number) {
  if (number >= index.events) return false;
  chunk = load(place_of(number));
  if (chunk) return true;
  rescan(true);  // the index was wrong, or the log is damaged
  if (number >= index.events) return false;
  chunk = load(place_of(number));
  return chunk.has_value();
}

RecordingReader::RecordingReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RecordingReader::RecordingReader(RecordingReader&&) noexcept = default;
RecordingReader& RecordingReader::operator=(RecordingReader&&) noexcept = default;
RecordingReader::~RecordingReader() = default;

Result<RecordingReader> RecordingReader::open(const std::string& directory) {
  auto manifest = read_manifest(directory);
  if (!manifest) return manifest.error();
  auto impl = std::make_unique<Impl>(directory, std::move(*manifest));
  FileDescriptor log;
  if (exists(impl->log_path)) {
    auto opened = open_regular(impl->log_path);
    if (!opened) return opened.error();
    log = std::move(*opened);
  }
  if (auto attached = impl->attach(std::move(log)); !attached) return attached.error();
  return RecordingReader(std::move(impl));
}

Result<RecordingReader> RecordingReader::from_parts(const std::string& name, std::span<const u8> manifest,
                                                    FileDescriptor log) {
  auto decoded = decode_manifest(manifest, name);
  if (!decoded) return decoded.error();
  auto impl = std::make_unique<Impl>(name, std::move(*decoded));
  impl->log_path = name;
  impl->use_index = false;
  if (auto attached = impl->attach(std::move(log)); !attached) return attached.error();
  return RecordingReader(std::move(impl));
}

const std::string& RecordingReader::directory() const { return impl_->directory; }
const Manifest& RecordingReader::manifest() const { return impl_->manifest; }
const LogValidity& RecordingReader::validity() const { return impl_->validity; }

const LogValidity& RecordingReader::check() {
  impl_->rescan(true);
  return impl_->validity;
}

const Event* RecordingReader::next() {
  Impl& i = *impl_;
  if (!i.chunk || i.chunk->next_number() > i.position || i.chunk->end_number() <= i.position) {
    if (!i.load_for(i.position)) return nullptr;
  }
  while (i.chunk->next_number() < i.position) i.chunk->next();
  ++i.position;
  return &i.chunk->next();
}

u64 RecordingReader::position() const { return impl_->position; }

void RecordingReader::seek_event(u64 number) { impl_->position = number; }

void RecordingReader::seek_count(InstrCount count) {
  Impl& i = *impl_;
  const auto first_place = [&]() -> u64 {
    // Events at this very count may start in the chunk before the first one that starts at it.
    const auto at = std::lower_bound(i.index.chunks.begin(), i.index.chunks.end(), count,
                                     [](const ChunkPosition& c, InstrCount n) { return c.first_count < n; });
    return at == i.index.chunks.begin() ? 0 : static_cast<u64>(at - i.index.chunks.begin()) - 1;
  };
  i.position = 0;
  if (i.index.chunks.empty()) return;
  // If the index tells a count too low, the chunk where the search starts is too late, and not as the index says.
  if (i.chunk = i.load(first_place()); !i.chunk) i.rescan(true);
  if (i.index.chunks.empty()) return;
  i.position = i.index.chunks[first_place()].first_event;
  while (const Event* event = next()) {
    if (event->moment.count < count) continue;
    i.position = event->number;
    return;
  }
}

bool RecordingReader::refresh() {
  Impl& i = *impl_;
  const u64 before = i.index.events;
  const auto size = i.log ? file_size(i.log.get(), i.log_path) : Result<u64>(u64{0});
  if (!i.log || !size) return false;
  i.validity.file_bytes = *size;
  if (*size < i.index.end_offset) {
    i.rescan(false);
  } else if (i.validity.ending == LogEnding::unfinished) {
    i.scan(false);
  }
  return i.index.events > before;
}

bool RecordingReader::writer_is_alive() const {
  const int fd = impl_->log.get();
  if (fd < 0) return false;
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  ::flock(fd, LOCK_UN);
  return false;
}

std::optional<FormatVersion> recording_version(const std::string& directory) {
  const auto version = version_in_header(kManifestMagic, directory + "/" + kManifestName);
  return version ? version : version_in_header(kLogMagic, directory + "/" + kLogName);
}

Error refuse_unknown(const Event& event, const RecordingReader& reader) {
  return file_error(reader.directory(), "event " + std::to_string(event.number) + " is of a kind (" +
                                            kind_name(event.body) +
                                            ") that this program does not know: the recording was made by Rondo " +
                                            reader.manifest().program_version + ", format " +
                                            to_string(reader.manifest().format) + "; replay it with that");
}

}  // namespace rondo::replay
