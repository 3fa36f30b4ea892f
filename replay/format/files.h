// Files of a recording on the host: descriptors, whole reads, atomic whole writes. Symbolic links are not followed at
// the last component: a recording that somebody sent must not lead elsewhere.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::replay {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// "events.log '/tmp/r/events.log': no space left on device"
Error file_error(const std::string& path, const std::string& why);
Error errno_error(const std::string& path, const std::string& what);  // why: errno

// Opens a regular file for reading.
Result<FileDescriptor> open_regular(const std::string& path);
// Size of a regular file.
Result<u64> file_size(int fd, const std::string& path);
// Reads up to bytes.size() bytes at an offset; fewer only at the end of the file.
Result<u64> read_at(int fd, u64 offset, std::span<u8> bytes, const std::string& path);
// A whole regular file of at most max_bytes.
Result<std::vector<u8>> read_file(const std::string& path, u64 max_bytes);

// Restarts after signals and short writes; false on an error (errno says which).
bool write_all(int fd, std::span<const u8> bytes);

// A file that appears complete or not at all: written beside its final name, then renamed. Removed if it is not
// committed.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&&) = default;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const u8> bytes);
  // `durable`: on the disk before it takes its name.
  Status commit(bool durable);

 private:
  AtomicFile(FileDescriptor fd, std::string path, std::string temporary);
  FileDescriptor fd_;
  std::string path_;
  std::string temporary_;
};

Status write_file_atomically(const std::string& path, std::span<const u8> bytes, bool durable = false);
// Brings a file or a directory to the disk.
Status sync_path(const std::string& path);
bool exists(const std::string& path);

}  // namespace rondo::replay
