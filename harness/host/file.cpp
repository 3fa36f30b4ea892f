#include "harness/host/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace rondo::host {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Error failure(const std::string& what, const std::string& path, const std::string& why) {
  return Error{what + " '" + path + "': " + why};
}

}  // namespace

Result<FileBytes> FileBytes::read(const std::string& path, const std::string& what, u64 max_bytes) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer; it has no effect on regular files.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return failure(what, path, std::strerror(errno));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return failure(what, path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return failure(what, path, "is a directory: name a file");
  if (!S_ISREG(info.st_mode)) return failure(what, path, "is not a regular file");
  const u64 size = static_cast<u64>(info.st_size);
  if (size > max_bytes) {
    return failure(what, path,
                   "has " + std::to_string(size) + " bytes, more than the " + std::to_string(max_bytes) +
                       " that can be used here");
  }
  FileBytes result;
  result.data_ = std::make_unique_for_overwrite<u8[]>(size);
  while (result.size_ < size) {
    const ssize_t got = ::read(file.fd, result.data_.get() + result.size_, size - result.size_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(what, path, std::strerror(errno));
    if (got == 0) break;  // it was truncated meanwhile: what was read is the file
    result.size_ += static_cast<u64>(got);
  }
  return result;
}

bool write_all(int fd, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    if (wrote < 0) return false;
    bytes = bytes.subspan(static_cast<u64>(wrote));
  }
  return true;
}

AtomicFile::AtomicFile(int fd, std::string path, std::string temporary, std::string what)
    : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)), what_(std::move(what)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      what_(std::move(other.what_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::string& path, const std::string& what) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return failure(what, path,
                   S_ISDIR(info.st_mode) ? "is a directory: name a file" : "exists and is not a regular file");
  }
  std::string name = path + ".XXXXXX";
  std::vector<char> buffer(name.begin(), name.end());
  buffer.push_back('\0');
  const int fd = ::mkostemp(buffer.data(), O_CLOEXEC);
  if (fd < 0) return failure(what, path, std::string("cannot be written: ") + std::strerror(errno));
  const mode_t mask = ::umask(0);  // mkostemp gives 0600; a plain open would have given 0666 & ~umask
  ::umask(mask);
  ::fchmod(fd, 0666 & ~mask);
  return AtomicFile(fd, path, buffer.data(), what);
}

Status AtomicFile::commit(std::span<const u8> bytes) {
  RONDO_ASSERT(fd_ >= 0);
  const bool written = write_all(fd_, bytes);
  const int write_error = errno;
  const bool closed = ::close(std::exchange(fd_, -1)) == 0;
  if (!written) return failure(what_, path_, std::string("cannot be written: ") + std::strerror(write_error));
  if (!closed || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return failure(what_, path_, std::string("cannot be written: ") + std::strerror(errno));
  }
  temporary_.clear();
  return success();
}

}  // namespace rondo::host
