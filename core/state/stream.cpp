#include "core/state/stream.h"

#include <cstring>

namespace rondo {

void StateWriter::section(std::string_view name, u32 version) {
  write_string(name);
  write_u32(version);
}

void StateWriter::put(u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
}

void StateWriter::write_bytes(std::span<const u8> bytes) {
  write_u64(bytes.size());
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void StateWriter::write_string(std::string_view text) {
  write_bytes({reinterpret_cast<const u8*>(text.data()), text.size()});
}

u32 StateReader::section(std::string_view name, u32 newest_version) {
  const std::string found = read_string(256);
  const u32 version = read_u32();
  if (!ok()) return 0;
  if (found != name) {
    fail("saved state: expected section '" + std::string(name) + "', found '" + found + "'");
    return 0;
  }
  if (version == 0 || version > newest_version) {
    fail("saved state: section '" + found + "' has version " + std::to_string(version) + ", newest known is " +
         std::to_string(newest_version));
    return 0;
  }
  return version;
}

u64 StateReader::get(unsigned size) {
  if (!ok()) return 0;
  if (remaining() < size) {
    fail("saved state: ends too early");
    return 0;
  }
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(bytes_[position_ + i]) << (8 * i);
  position_ += size;
  return value;
}

std::vector<u8> StateReader::read_bytes(u64 max_length) {
  const u64 length = read_u64();
  if (!ok()) return {};
  if (length > max_length || length > remaining()) {
    fail("saved state: a field of " + std::to_string(length) + " bytes is too long");
    return {};
  }
  const auto part = bytes_.subspan(position_, length);
  position_ += length;
  return {part.begin(), part.end()};
}

void StateReader::read_bytes_into(std::span<u8> out) {
  const std::vector<u8> bytes = read_bytes(out.size());
  if (!ok()) return;
  if (bytes.size() != out.size()) {
    fail("saved state: a field has " + std::to_string(bytes.size()) + " bytes instead of " + std::to_string(out.size()));
    return;
  }
  std::memcpy(out.data(), bytes.data(), bytes.size());
}

std::string StateReader::read_string(u64 max_length) {
  const std::vector<u8> bytes = read_bytes(max_length);
  return {bytes.begin(), bytes.end()};
}

void StateReader::fail(std::string message) {
  if (error_.empty()) error_ = std::move(message);
}

}  // namespace rondo
