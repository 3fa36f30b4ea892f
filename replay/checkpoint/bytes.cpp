#include "replay/checkpoint/bytes.h"

#include <sys/stat.h>

namespace rondo::replay {

Result<std::unique_ptr<FileBytes>> FileBytes::open(const std::string& path) {
  auto fd = open_regular(path);
  if (!fd) return fd.error();
  const auto size = file_size(fd->get(), path);
  if (!size) return size.error();
  return std::unique_ptr<FileBytes>(new FileBytes(std::move(*fd), *size, path));
}

bool FileBytes::read(u64 offset, std::span<u8> out) const {
  if (offset > size_ || out.size() > size_ - offset) return false;
  const auto got = read_at(fd_.get(), offset, out, path_);
  return got && *got == out.size();
}

bool FileBytes::still_at(const std::string& path) const {
  struct stat ours {
  }, theirs{};
  return ::fstat(fd_.get(), &ours) == 0 && ::lstat(path.c_str(), &theirs) == 0 && ours.st_dev == theirs.st_dev &&
         ours.st_ino == theirs.st_ino && static_cast<u64>(theirs.st_size) == size_;
}

}  // namespace rondo::replay
