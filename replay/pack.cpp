#include "replay/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "replay/format/blob_store.h"
#include "replay/format/files.h"
#include "replay/format/index.h"
#include "replay/format/log_layout.h"
#include "replay/pack_stream.h"

namespace rondo::replay {
namespace {

// Every image that the manifest names is in the store, whole.
Status check_images(const std::string& directory, const Manifest& manifest) {
  const BlobStore blobs(directory);
  for (const Image& image : manifest.machine.images) {
    if (auto good = blobs.verify(image.blob, image.bytes); !good) return good;
  }
  return success();
}

// The paths in the directory that a pack may hold, in the order in which they are packed.
std::vector<std::string> paths_to_pack(const std::string& directory) {
  std::vector<std::string> paths;
  for (const char* name : {kManifestName, kLogName, kIndexName}) {
    if (exists(directory + "/" + name)) paths.push_back(name);
  }
  for (const std::string folder : {"blobs", "checkpoints"}) {
    std::vector<std::string> found;
    std::error_code ignored;
    for (std::filesystem::directory_iterator at(directory + "/" + folder, ignored), end; at != end;
         at.increment(ignored)) {
      const std::string path = folder + "/" + at->path().filename().string();
      if (classify_pack_path(path)) found.push_back(path);
    }
    std::sort(found.begin(), found.end());
    paths.insert(paths.end(), found.begin(), found.end());
  }
  return paths;
}

// Writes what a pack holds below a directory of its own.
class Unpacker final : public PackSink {
 public:
  explicit Unpacker(std::string directory) : directory_(std::move(directory)) {}

  Status begin(PackPath kind, const std::string& path, u64 bytes) override {
    path_ = directory_ + "/" + path;
    struct statvfs disk {};
    if (::statvfs(directory_.c_str(), &disk) == 0 && bytes / disk.f_frsize >= disk.f_bavail) {
      return file_error(path_, "needs " + std::to_string(bytes) + " bytes, and the disk has fewer");
    }
    if (kind == PackPath::blob || kind == PackPath::checkpoint) {
      const std::string folder = directory_ + "/" + path.substr(0, path.find('/'));
      if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) return errno_error(folder, "cannot be made");
    }
    file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!file_) return errno_error(path_, "cannot be written");
    return success();
  }
  Status data(std::span<const u8> bytes) override {
    if (!write_all(file_.get(), bytes)) return errno_error(path_, "cannot be written");
    return success();
  }
  Status end() override {
    file_ = FileDescriptor();
    return success();
  }

 private:
  std::string directory_;
  std::string path_;
  FileDescriptor file_;
};

// A new directory beside the target, removed with all that is in it unless it is moved there.
class SiblingDirectory {
 public:
  static Result<SiblingDirectory> create(const std::string& target) {
    constexpr int kTries = 1000;
    for (int i = 0; i < kTries; ++i) {
      const std::string path = target + ".unpack" + std::to_string(i);
      if (::mkdir(path.c_str(), 0777) == 0) return SiblingDirectory(path, target);
      if (errno != EEXIST) break;
    }
    return errno_error(target, "cannot be made");
  }
  SiblingDirectory(SiblingDirectory&& other) noexcept
      : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)) {}
  SiblingDirectory& operator=(SiblingDirectory&&) = delete;
  ~SiblingDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  Status move_to_target() {
    int moved = ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE);
    // Some file systems do not know the flag. rename() replaces nothing but an empty directory.
    if (moved != 0 && (errno == EINVAL || errno == ENOSYS)) moved = ::rename(path_.c_str(), target_.c_str());
    if (moved != 0) return errno_error(target_, "cannot be made");
    path_.clear();
    return success();
  }

 private:
  SiblingDirectory(std::string path, std::string target) : path_(std::move(path)), target_(std::move(target)) {}
  std::string path_;
  std::string target_;
};

// Keeps what is needed to look at a recording.
class Inspector final : public PackSink {
 public:
  static constexpr u64 kMaxLogBytes = u64{1} << 30;

  Status begin(PackPath kind, const std::string& path, u64 bytes) override {
    kind_ = kind;
    const std::string name = path.substr(path.find('/') + 1);
    if (kind == PackPath::blob) blobs.push_back(name);
    if (kind == PackPath::checkpoint) checkpoints.push_back({name, bytes});
    if (kind == PackPath::log) {
      if (bytes > kMaxLogBytes) return file_error(path, "is too large to be looked at in memory: unpack the file");
      log = FileDescriptor(::memfd_create("events.log", MFD_CLOEXEC));
      if (!log) return errno_error(path, "there is no memory for it");
    }
    return success();
  }
  Status data(std::span<const u8> bytes) override {
    if (kind_ == PackPath::manifest) manifest.insert(manifest.end(), bytes.begin(), bytes.end());
    if (kind_ == PackPath::log && !write_all(log.get(), bytes))
      return errno_error(kLogName, "there is no memory for it");
    return success();
  }
  Status end() override { return success(); }

  std::vector<u8> manifest;
  FileDescriptor log;
  std::vector<std::string> blobs;
  std::vector<PackedFile> checkpoints;

 private:
  PackPath kind_ = PackPath::manifest;
};

}  // namespace

Result<PackTotals> pack_recording(const std::string& directory, const std::string& file) {
  const auto reader = RecordingReader::open(directory);
  if (!reader) return reader.error();
  if (auto good = check_images(directory, reader->manifest()); !good) return good.error();
  auto pack = PackWriter::create(file);
  if (!pack) return pack.error();
  PackTotals totals;
  for (const std::string& path : paths_to_pack(directory)) {
    const std::string source = directory + "/" + path;
    auto fd = open_regular(source);
    if (!fd) return fd.error();
    const auto size = file_size(fd->get(), source);
    if (!size) return size.error();
    if (auto added = pack->add(path, fd->get(), *size, source); !added) return added.error();
    ++totals.entries;
    totals.unpacked_bytes += *size;
  }
  const auto packed_bytes = pack->finish();
  if (!packed_bytes) return packed_bytes.error();
  totals.packed_bytes = *packed_bytes;
  return totals;
}

Result<PackTotals> unpack_recording(const std::string& file, const std::string& directory) {
  std::string target = directory;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  if (exists(target)) return file_error(target, "exists: name a directory that does not");
  auto sibling = SiblingDirectory::create(target);
  if (!sibling) return sibling.error();
  Unpacker unpacker(sibling->path());
  const auto totals = read_pack(file, unpacker);
  if (!totals) return totals.error();
  const auto manifest = read_manifest(sibling->path());
  if (!manifest) return manifest.error();
  if (auto good = check_images(sibling->path(), *manifest); !good) return good.error();
  if (auto moved = sibling->move_to_target(); !moved) return moved.error();
  return *totals;
}

Result<PackedRecording> open_packed(const std::string& file) {
  Inspector inspector;
  const auto totals = read_pack(file, inspector);
  if (!totals) return totals.error();
  auto reader = RecordingReader::from_parts(file, inspector.manifest, std::move(inspector.log));
  if (!reader) return reader.error();
  return PackedRecording{std::move(*reader), *totals, std::move(inspector.blobs), std::move(inspector.checkpoints)};
}

}  // namespace rondo::replay
