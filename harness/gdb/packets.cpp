#include "harness/gdb/packets.h"

namespace rondo::gdb {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr u8 kEscape = '}', kEscapeFlip = 0x20, kInterrupt = 3;
constexpr std::size_t kLongestQueue = 4096;  // messages; whoever sends more without waiting for replies loses them

std::optional<u8> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<u8>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<u8>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<u8>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::string frame(std::string_view payload) {
  std::string out = "$";
  out.reserve(payload.size() + 4);
  u8 sum = 0;
  const auto put = [&](char c) {
    out += c;
    sum = static_cast<u8>(sum + static_cast<u8>(c));
  };
  for (const char c : payload) {
    if (c == '$' || c == '#' || c == '}' || c == '*') {
      put(static_cast<char>(kEscape));
      put(static_cast<char>(c ^ kEscapeFlip));
    } else {
      put(c);
    }
  }
  out += '#';
  out += kDigits[sum >> 4];
  out += kDigits[sum & 15];
  return out;
}

void PacketReader::feed(std::span<const u8> bytes) {
  const auto push = [&](Received::Kind kind) {
    if (queue_.size() < kLongestQueue) queue_.push_back({kind});
  };
  for (const u8 byte : bytes) {
    const char c = static_cast<char>(byte);
    switch (state_) {
      case State::idle:
        if (c == '$') {
          state_ = State::payload;
          payload_.clear();
          sum_ = 0;
          bad_ = false;
        } else if (c == '+') {
          push(Received::Kind::ack);
        } else if (c == '-') {
          push(Received::Kind::nak);
        } else if (byte == kInterrupt) {
          push(Received::Kind::interrupt);
        }
        break;
      case State::payload:
      case State::escape:
        if (c == '#') {
          state_ = State::checksum_high;
          break;
        }
        if (c == '$') {  // the last one was cut off
          payload_.clear();
          sum_ = 0;
          bad_ = false;
          state_ = State::payload;
          break;
        }
        sum_ = static_cast<u8>(sum_ + byte);
        if (state_ == State::payload && byte == kEscape) {
          state_ = State::escape;
          break;
        }
        if (payload_.size() < kMaximumPacket)
          payload_ += state_ == State::escape ? static_cast<char>(c ^ kEscapeFlip) : c;
        else
          bad_ = true;
        state_ = State::payload;
        break;
      case State::checksum_high:
      case State::checksum_low: {
        const auto value = digit(c);
        if (!value) bad_ = check_ || bad_;
        if (state_ == State::checksum_high) {
          expected_ = static_cast<u8>(value.value_or(0) << 4);
          state_ = State::checksum_low;
        } else {
          expected_ = static_cast<u8>(expected_ | value.value_or(0));
          end_packet();
          state_ = State::idle;
        }
        break;
      }
    }
  }
}

void PacketReader::end_packet() {
  if (check_ && expected_ != sum_) bad_ = true;
  if (queue_.size() >= kLongestQueue) return;
  if (bad_)
    queue_.push_back({Received::Kind::bad_packet});
  else
    queue_.push_back({Received::Kind::packet, std::move(payload_)});
  payload_.clear();
}

std::optional<Received> PacketReader::next() {
  if (queue_.empty()) return std::nullopt;
  Received first = std::move(queue_.front());
  queue_.pop_front();
  return first;
}

bool PacketReader::take_interrupt() {
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (it->kind != Received::Kind::interrupt) continue;
    queue_.erase(it);
    return true;
  }
  return false;
}

std::string to_hex(std::span<const u8> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const u8 byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string to_hex(std::string_view text) { return to_hex({reinterpret_cast<const u8*>(text.data()), text.size()}); }

std::optional<std::vector<u8>> from_hex(std::string_view digits) {
  if (digits.size() % 2) return std::nullopt;
  std::vector<u8> bytes;
  bytes.reserve(digits.size() / 2);
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const auto high = digit(digits[i]), low = digit(digits[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<u8>(*high << 4 | *low));
  }
  return bytes;
}

std::optional<u64> Fields::number() {
  u64 value = 0;
  unsigned digits = 0;
  while (!rest_.empty()) {
    const auto d = digit(rest_.front());
    if (!d) break;
    if (value >> 60) return std::nullopt;
    value = value << 4 | *d;
    ++digits;
    rest_.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  return value;
}

bool Fields::skip(char separator) {
  if (rest_.empty() || rest_.front() != separator) return false;
  rest_.remove_prefix(1);
  return true;
}

bool Fields::skip(std::string_view text) {
  if (!rest_.starts_with(text)) return false;
  rest_.remove_prefix(text.size());
  return true;
}

std::string_view Fields::until(char separator) {
  const std::size_t at = rest_.find(separator);
  const std::string_view field = rest_.substr(0, at);
  rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + 1);
  return field;
}

}  // namespace rondo::gdb
