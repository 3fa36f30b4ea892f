// Files of the host: whole reads and whole writes.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::host {

// The contents of a regular file, read once. Later changes of the file do not show.
class FileBytes {
 public:
  // `what` names the file's role in messages ("kernel", "initrd"). Refuses what is not a regular file and what is
  // longer than max_bytes.
  static Result<FileBytes> read(const std::string& path, const std::string& what, u64 max_bytes);

  std::span<const u8> bytes() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<u8[]> data_;
  u64 size_ = 0;
};

// A file that appears complete or not at all: written beside its final name, then renamed.
class AtomicFile {
 public:
  // Creates the temporary file now, so that an unwritable place is known before a long run.
  static Result<AtomicFile> create(const std::string& path, const std::string& what);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();  // removes the temporary file unless commit() succeeded

  Status commit(std::span<const u8> bytes);
  Status commit(const std::string& text) { return commit({reinterpret_cast<const u8*>(text.data()), text.size()}); }

 private:
  AtomicFile(int fd, std::string path, std::string temporary, std::string what);
  int fd_ = -1;
  std::string path_;
  std::string temporary_;
  std::string what_;
};

// Writes all of it, restarting after signals and short writes; false on an error (errno says which).
bool write_all(int fd, std::span<const u8> bytes);

}  // namespace rondo::host
