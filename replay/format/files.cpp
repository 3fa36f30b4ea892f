#include "replay/format/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rondo::replay {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error file_error(const std::string& path, const std::string& why) { return Error{"'" + path + "': " + why}; }

Error errno_error(const std::string& path, const std::string& what) {
  return file_error(path, what + ": " + std::strerror(errno));
}

Result<FileDescriptor> open_regular(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer; it has no effect on regular files.
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return errno == ELOOP ? file_error(path, "is a symbolic link") : errno_error(path, "cannot be opened");
  if (auto size = file_size(fd.get(), path); !size) return size.error();
  return fd;
}

Result<u64> file_size(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_error(path, "cannot be read");
  if (!S_ISREG(info.st_mode)) return file_error(path, "is not a regular file");
  return static_cast<u64>(info.st_size);
}

Result<u64> read_at(int fd, u64 offset, std::span<u8> bytes, const std::string& path) {
  u64 done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(path, "cannot be read");
    if (got == 0) break;
    done += static_cast<u64>(got);
  }
  return done;
}

Result<std::vector<u8>> read_file(const std::string& path, u64 max_bytes) {
  auto fd = open_regular(path);
  if (!fd) return fd.error();
  const auto size = file_size(fd->get(), path);
  if (!size) return size.error();
  if (*size > max_bytes) {
    return file_error(path, "has " + std::to_string(*size) + " bytes, more than the " + std::to_string(max_bytes) +
                                " that such a file may have");
  }
  std::vector<u8> bytes(*size);
  const auto got = read_at(fd->get(), 0, bytes, path);
  if (!got) return got.error();
  bytes.resize(*got);  // it was truncated meanwhile: what was read is the file
  return bytes;
}

bool write_all(int fd, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes = bytes.subspan(static_cast<u64>(wrote));
  }
  return true;
}

AtomicFile::AtomicFile(FileDescriptor fd, std::string path, std::string temporary)
    : fd_(std::move(fd)), path_(std::move(path)), temporary_(std::move(temporary)) {}

AtomicFile::~AtomicFile() {
  if (fd_) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  // Names that are taken belong to another writer, or to one that was killed.
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    const std::string temporary = path + ".tmp" + std::to_string(i);
    FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd) return AtomicFile(std::move(fd), path, temporary);
    if (errno != EEXIST) break;
  }
  return errno_error(path, "cannot be written");
}

Status AtomicFile::write(std::span<const u8> bytes) {
  if (!write_all(fd_.get(), bytes)) return errno_error(path_, "cannot be written");
  return success();
}

Status AtomicFile::commit(bool durable) {
  RONDO_ASSERT(fd_);
  if ((durable && ::fdatasync(fd_.get()) != 0) || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return errno_error(path_, "cannot be written");
  }
  const FileDescriptor committed = std::move(fd_);
  return success();
}

Status write_file_atomically(const std::string& path, std::span<const u8> bytes, bool durable) {
  auto file = AtomicFile::create(path);
  if (!file) return file.error();
  if (auto written = file->write(bytes); !written) return written;
  return file->commit(durable);
}

Status sync_path(const std::string& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // EINVAL: the file system cannot sync such a thing, and needs none.
  if (!fd || (::fsync(fd.get()) != 0 && errno != EINVAL)) return errno_error(path, "cannot be brought to the disk");
  return success();
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace rondo::replay
