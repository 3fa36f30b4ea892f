// The board: one PC-like machine, assembled. The only place that names concrete devices and an engine together.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/machine.h"

namespace rondo {

// Serves a kernel that says nothing else: output to the serial port, and a panic ends the run instead of halting.
inline constexpr char kDefaultCommandLine[] = "console=ttyS0 panic=-1";
inline constexpr i64 kDefaultRtcStart =
    1'700'000'000;  // 2023-11-14 22:13:20 UTC: fixed, as everything that enters a machine

// How often the host's side is looked at while the guest is busy, in instructions. With it the Moments at which input
// that is ready enters a machine are the same in every run.
inline constexpr u64 kPollEvery = 200'000;

struct BoardConfig {
  u64 memory_bytes = u64{256} << 20;
  i64 rtc_start = kDefaultRtcStart;  // seconds since 1970, UTC: what the battery-backed clock shows at reset
  u64 seed = 0;                      // of everything that the machine draws; nothing draws with one vCPU
  std::string kernel_path;           // empty: nothing is loaded; the state comes from Machine::load()
  std::string initrd_path;           // empty: none
  std::string command_line = kDefaultCommandLine;
  CharacterSink* console = nullptr;  // output of the first serial port; outlives the board. Null: discarded
};

class Board {
 public:
  // Errors are one line and name the file or value at fault.
  static Result<std::unique_ptr<Board>> create(const BoardConfig& config);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  Machine& machine();
  const std::string& image_kind() const;  // "bzImage (lz4)", "vmlinux", "multiboot"; empty if nothing was loaded

  // Input for the first serial port. A byte given while the guest does not listen, or has no room, is lost as on a real
  // line.
  bool console_listens() const;
  void console_receive(u8 byte);
  void console_receive_break();

  // A complete saved machine with what is needed to build its board.
  std::vector<u8> save();
  static Result<u64> saved_memory_bytes(std::span<const u8> saved);
  Status restore(std::span<const u8> saved);

 private:
  struct Parts;
  explicit Board(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace rondo
