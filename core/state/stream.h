// The one versioned interface through which every component saves and restores its state.
//
// A component writes one section: its name, its version, then its fields in a fixed order, little-endian. The bytes are canonical:
// equal states give equal bytes on every host, so the state hash is the hash of these bytes. Nothing derived (caches, host
// pointers) is ever written.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo {

class StateWriter {
 public:
  // Starts the section of one component; sections do not nest.
  void section(std::string_view name, u32 version);

  void write_u8(u8 value) { put(value, 1); }
  void write_u16(u16 value) { put(value, 2); }
  void write_u32(u32 value) { put(value, 4); }
  void write_u64(u64 value) { put(value, 8); }
  void write_bool(bool value) { put(value ? 1 : 0, 1); }
  void write_bytes(std::span<const u8> bytes);  // length (u64), then the bytes
  void write_string(std::string_view text);

  const std::vector<u8>& bytes() const { return bytes_; }
  std::vector<u8> take() { return std::move(bytes_); }

 private:
  void put(u64 value, unsigned size);
  std::vector<u8> bytes_;
};

// Reads what StateWriter wrote. After the first malformed or missing field every read returns zero and ok() is false, so a
// component reads all its fields and checks once.
class StateReader {
 public:
  explicit StateReader(std::span<const u8> bytes) : bytes_(bytes) {}

  // Expects a section of this name and a version of at most newest_version; returns the version found, 0 on failure.
  u32 section(std::string_view name, u32 newest_version);

  u8 read_u8() { return static_cast<u8>(get(1)); }
  u16 read_u16() { return static_cast<u16>(get(2)); }
  u32 read_u32() { return static_cast<u32>(get(4)); }
  u64 read_u64() { return get(8); }
  bool read_bool() { return get(1) != 0; }
  std::vector<u8> read_bytes(u64 max_length);
  // For fixed-size arrays: fails if the length differs.
  void read_bytes_into(std::span<u8> out);
  std::string read_string(u64 max_length);

  // A component calls this when a value it read is out of range.
  void fail(std::string message);
  bool ok() const { return error_.empty(); }
  Status status() const { return ok() ? success() : Status(Error{error_}); }
  u64 remaining() const { return bytes_.size() - position_; }

 private:
  u64 get(unsigned size);
  std::span<const u8> bytes_;
  u64 position_ = 0;
  std::string error_;
};

// Anything whose state is part of a checkpoint and of the state hash.
class Saveable {
 public:
  virtual ~Saveable() = default;
  virtual void save(StateWriter& writer) const = 0;
  virtual void load(StateReader& reader) = 0;  // errors: reader.fail()
};

}  // namespace rondo
