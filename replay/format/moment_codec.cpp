#include "replay/format/moment_codec.h"

namespace rondo::replay {
namespace {

enum Flag : u8 {
  kCount = 1 << 0,
  kTime = 1 << 1,
  kRip = 1 << 2,
  kRcx = 1 << 3,
  kSynchronous = 1 << 4,
  kFingerprint = 1 << 5,
  kReserved = 1 << 6,
  kSampled = 1 << 7
};

// Zigzag: small differences of either sign become small numbers.
constexpr u64 zigzag(u64 difference) { return difference << 1 ^ (0 - (difference >> 63)); }
constexpr u64 unzigzag(u64 number) { return number >> 1 ^ (0 - (number & 1)); }

u64 expected_time(const Moment& previous, u64 counted) { return previous.time.value + counted; }

}  // namespace

void MomentPacker::number(u64 value) {
  for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<u8>(value | 0x80));
  bytes_.push_back(static_cast<u8>(value));
}

void MomentPacker::difference(u64 value, u64 from) { number(zigzag(value - from)); }

void MomentPacker::add(const Moment& moment, std::optional<VirtualNs> sampled) {
  const u64 counted = moment.count - previous_.count;
  const u64 expected = expected_time(previous_, counted);
  u8 flags = 0;
  if (counted != 0) flags |= kCount;
  if (moment.time.value != expected) flags |= kTime;
  if (moment.rip != previous_.rip) flags |= kRip;
  if (moment.rcx != previous_.rcx) flags |= kRcx;
  if (moment.synchronous) flags |= kSynchronous;
  if (moment.fingerprint) flags |= kFingerprint;
  if (sampled) flags |= kSampled;
  bytes_.push_back(flags);
  if (flags & kCount) number(counted);
  if (flags & kTime) difference(moment.time.value, expected);
  if (flags & kRip) difference(moment.rip, previous_.rip);
  if (flags & kRcx) difference(moment.rcx, previous_.rcx);
  if (moment.synchronous) {
    difference(*moment.synchronous, previous_synchronous_);
    previous_synchronous_ = *moment.synchronous;
  }
  if (moment.fingerprint) {
    const Fingerprint& f = *moment.fingerprint;
    for (const u64 half : {f.registers.high, f.registers.low, f.memory.high, f.memory.low}) {
      for (unsigned i = 0; i < 8; ++i) bytes_.push_back(static_cast<u8>(half >> (8 * i)));
    }
  }
  if (sampled) difference(sampled->value, moment.time.value);
  previous_ = moment;
}

void MomentPacker::clear() { *this = MomentPacker(); }

u64 MomentUnpacker::number() {
  u64 value = 0;
  for (unsigned shift = 0; !bytes_.empty(); shift += 7) {
    const u8 byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    if (shift == 63 && byte > 1) break;  // more than 64 bits
    value |= static_cast<u64>(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  ok_ = false;
  return 0;
}

u64 MomentUnpacker::difference(u64 from) { return from + unzigzag(number()); }

std::optional<MomentUnpacker::Entry> MomentUnpacker::next() {
  if (!ok_ || bytes_.empty()) return std::nullopt;
  const u8 flags = bytes_.front();
  bytes_ = bytes_.subspan(1);
  if (flags & kReserved) ok_ = false;

  Entry entry;
  Moment& moment = entry.moment;
  const u64 counted = flags & kCount ? number() : 0;
  const u64 expected = expected_time(previous_, counted);
  moment.count = previous_.count + counted;
  if (moment.count < previous_.count) ok_ = false;  // wrapped around
  moment.time = VirtualNs{flags & kTime ? difference(expected) : expected};
  moment.rip = flags & kRip ? difference(previous_.rip) : previous_.rip;
  moment.rcx = flags & kRcx ? difference(previous_.rcx) : previous_.rcx;
  if (flags & kSynchronous) moment.synchronous = previous_synchronous_ = difference(previous_synchronous_);
  if (flags & kFingerprint) {
    if (bytes_.size() < 32) {
      ok_ = false;
    } else {
      u64 halves[4] = {};
      for (unsigned i = 0; i < 32; ++i) halves[i / 8] |= static_cast<u64>(bytes_[i]) << (8 * (i % 8));
      bytes_ = bytes_.subspan(32);
      moment.fingerprint = Fingerprint{{halves[0], halves[1]}, {halves[2], halves[3]}};
    }
  }
  if (flags & kSampled) entry.sampled = VirtualNs{difference(moment.time.value)};
  if (!ok_) return std::nullopt;
  previous_ = moment;
  return entry;
}

}  // namespace rondo::replay
