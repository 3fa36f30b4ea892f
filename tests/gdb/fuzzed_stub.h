// A stub on a machine of a few thousand instructions, for what no gdb would send.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "harness/gdb/packets.h"
#include "harness/gdb/stub.h"

namespace rondo::gdb {

class FuzzedStub {
 public:
  FuzzedStub();
  // Bytes as they come from a socket. Returns how many packets were answered.
  unsigned feed(std::span<const u8> bytes);
  std::string packet(std::string_view payload) { return stub_->handle(payload); }
  std::size_t snapshots() const { return travel_->snapshot_count(); }

 private:
  std::unique_ptr<Board> board_;
  std::unique_ptr<LiveInput> input_;
  std::unique_ptr<TimeTravel> travel_;
  Symbols symbols_;
  std::unique_ptr<Debuggee> debuggee_;
  std::unique_ptr<Monitor> monitor_;
  std::unique_ptr<Stub> stub_;
  PacketReader reader_;
  std::string text_;
};

// What a generator makes of random numbers: packets that are nearly right.
std::string random_packet(u64 seed);

}  // namespace rondo::gdb
