// The framing of GDB's remote protocol: packets with checksums, acknowledgements, the interrupt byte (GDB manual,
// appendix E.1). Knows nothing of what packets mean.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"

namespace rondo::gdb {

// "$payload#checksum" with '}' escapes for '$', '#', '}' and '*'.
std::string frame(std::string_view payload);

struct Received {
  enum class Kind : u8 {
    packet,      // whole, its checksum right, unescaped
    bad_packet,  // its checksum is wrong, or it is longer than kMaximumPacket: to be asked for again
    ack,         // '+'
    nak,         // '-': the last reply did not arrive
    interrupt    // Ctrl-C
  };
  Kind kind = Kind::packet;
  std::string payload = {};
};

// What gdb may send at once. Its own memory writes and expressions are cut to fit.
inline constexpr std::size_t kMaximumPacket = 0x10000;

// Bytes in, messages out. Rubbish between packets is skipped.
class PacketReader {
 public:
  void feed(std::span<const u8> bytes);
  std::optional<Received> next();
  // Takes an interrupt out of the queue, wherever it is: gdb sends it ahead of its turn.
  bool take_interrupt();
  // Without acknowledgements checksums do not count (QStartNoAckMode).
  void ignore_checksums() { check_ = false; }

 private:
  void end_packet();
  enum class State : u8 { idle, payload, escape, checksum_high, checksum_low };
  State state_ = State::idle;
  std::string payload_;
  u8 sum_ = 0;
  u8 expected_ = 0;
  bool bad_ = false;
  bool check_ = true;
  std::deque<Received> queue_;
};

// Hexadecimal, as packets have it: two digits per byte, lower case.
std::string to_hex(std::span<const u8> bytes);
std::string to_hex(std::string_view text);
std::optional<std::vector<u8>> from_hex(std::string_view digits);

// Reads a packet's fields from left to right.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}
  // A hexadecimal number of up to 64 bits; none if there is no digit or too many.
  std::optional<u64> number();
  bool skip(char separator);
  bool skip(std::string_view text);
  // Up to the separator, which is skipped, or to the end.
  std::string_view until(char separator);
  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace rondo::gdb
