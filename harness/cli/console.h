// The guest's serial console on the host: where its output goes, where its input comes from, and when.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "harness/board.h"
#include "harness/host/clock.h"
#include "harness/host/terminal.h"

namespace rondo::cli {

class Console final : public CharacterSink {
 public:
  // where: "stdio", "none" or the name of a file for the output.
  explicit Console(std::string where) : where_(std::move(where)) {}
  ~Console() override;

  // Opens the file or takes the terminal. Called when everything else is known to be right.
  Status open();
  // The same without input: nobody types.
  Status open_output();
  // True if the output goes to a terminal.
  bool on_terminal() const;
  // True if somebody types: idle time is then real time.
  bool interactive() const { return interactive_; }

  void put(u8 byte) override;
  // False if the output can no longer be written.
  bool flush();
  // Moves input to the guest, through `sink`. If the machine idles and somebody types, waits until there is input or
  // the host's time has caught up, at most until wall_deadline. False: the user wants to leave.
  bool exchange(const Board& board, InputSink& sink, std::optional<VirtualNs> idle_until,
                std::optional<host::HostNs> wall_deadline);
  const std::string& error() const { return error_; }
  // Gives the terminal back and writes what is left.
  void close();

 private:
  void read_input(const Board& board, InputSink& sink);
  void take_key(const Board& board, InputSink& sink, u8 byte);
  void wait_idle(const Board& board, InputSink& sink, VirtualNs idle_until, std::optional<host::HostNs> wall_deadline);
  void show(const std::string& text);

  std::string where_;
  int output_ = -1;
  bool owns_output_ = false;
  int input_ = -1;
  bool interactive_ = false;
  unsigned looks_ = 0;  // at the input, modulo kLookEvery
  bool escape_pending_ = false;
  bool leave_ = false;
  std::string error_;
  std::vector<u8> buffer_;
  std::deque<u8> typed_;
  std::unique_ptr<host::RawTerminal> raw_;
};

}  // namespace rondo::cli
