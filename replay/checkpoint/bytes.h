// Where a checkpoint's bytes are read from.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/result.h"
#include "replay/format/files.h"

namespace rondo::replay {

// Bytes that can be read anywhere, by several threads at once.
class RandomAccess {
 public:
  virtual ~RandomAccess() = default;
  virtual u64 size() const = 0;
  // False if that many bytes are not there or cannot be read.
  virtual bool read(u64 offset, std::span<u8> out) const = 0;
};

// A file held open: what it holds does not change when another takes its name or the name goes.
class FileBytes final : public RandomAccess {
 public:
  static Result<std::unique_ptr<FileBytes>> open(const std::string& path);

  u64 size() const override { return size_; }
  bool read(u64 offset, std::span<u8> out) const override;
  // Whether the path leads to this very file still.
  bool still_at(const std::string& path) const;

 private:
  FileBytes(FileDescriptor fd, u64 size, std::string path) : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}
  FileDescriptor fd_;
  u64 size_;
  std::string path_;
};

}  // namespace rondo::replay
