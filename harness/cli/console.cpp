#include "harness/cli/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "harness/host/file.h"

namespace rondo::cli {
namespace {

constexpr u64 kOutputBuffer = 64 * 1024;
constexpr u64 kInputBuffer = 4096;
constexpr unsigned kLookEvery = 8;  // exchanges, while the guest is busy: looking costs a system call
constexpr u8 kEscape = 1;           // Ctrl-A, as QEMU's users know it

constexpr char kHelp[] =
    "\n"
    "Ctrl-A h    this help\n"
    "Ctrl-A x    leave: end the run\n"
    "Ctrl-A i    show the instruction count and the virtual time\n"
    "Ctrl-A p    press the power button (the guest is asked to shut down)\n"
    "Ctrl-A r    press the reset button (ends the run)\n"
    "Ctrl-A b    send a break (the kernel's magic SysRq on a serial console)\n"
    "Ctrl-A a    send Ctrl-A\n";

}  // namespace

Console::~Console() { close(); }

Status Console::open() {
  if (where_ == "stdio") {
    input_ = STDIN_FILENO;
    interactive_ = host::is_terminal(input_);
    if (interactive_) raw_ = std::make_unique<host::RawTerminal>(input_);
  }
  return open_output();
}

Status Console::open_output() {
  if (where_ == "none") return success();
  if (where_ == "stdio") {
    output_ = STDOUT_FILENO;
    return success();
  }
  output_ = ::open(where_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (output_ < 0) return Error{"console '" + where_ + "': cannot be written: " + std::strerror(errno)};
  owns_output_ = true;
  return success();
}

bool Console::on_terminal() const { return where_ == "stdio" && host::is_terminal(STDOUT_FILENO); }

void Console::put(u8 byte) {
  if (where_ == "none") return;
  buffer_.push_back(byte);
  if (buffer_.size() >= kOutputBuffer) flush();
}

bool Console::flush() {
  if (!buffer_.empty() && output_ >= 0 && error_.empty() && !host::write_all(output_, buffer_)) {
    error_ = "console '" + where_ + "': cannot be written: " + std::strerror(errno);
  }
  buffer_.clear();
  return error_.empty();
}

void Console::close() {
  flush();
  raw_.reset();
  if (owns_output_) ::close(output_);
  owns_output_ = false;
  output_ = input_ = -1;
}

void Console::show(const std::string& text) {
  flush();
  if (output_ >= 0) host::write_all(output_, {reinterpret_cast<const u8*>(text.data()), text.size()});
}

void Console::take_key(const Board& board, InputSink& sink, u8 byte) {
  if (!interactive_) {
    typed_.push_back(byte);
    return;
  }
  if (!escape_pending_) {
    if (byte == kEscape)
      escape_pending_ = true;
    else
      typed_.push_back(byte);
    return;
  }
  escape_pending_ = false;
  switch (byte) {
    case 'x':
      leave_ = true;
      break;
    case 'h':
    case '?':
      show(kHelp);
      break;
    case 'b':
      sink.enter({.kind = InputKind::console_break});
      break;
    case 'p':
      sink.enter({.kind = InputKind::power_button});
      break;
    case 'r':
      sink.enter({.kind = InputKind::reset_button});
      break;
    case 'a':
    case kEscape:
      typed_.push_back(kEscape);
      break;
    case 'i': {
      const Clock& clock = board.clock();
      show("\n[" + std::to_string(clock.count().value) + " instructions, " + std::to_string(clock.now().value) +
           " virtual ns]\n");
      break;
    }
    default:
      break;
  }
}

void Console::read_input(const Board& board, InputSink& sink) {
  while (input_ >= 0 && typed_.size() < kInputBuffer && host::wait_readable(input_, 0)) {
    std::array<u8, 256> bytes;
    const ssize_t got = ::read(input_, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      input_ = -1;  // the end of the input is not the end of the run
      return;
    }
    for (ssize_t i = 0; i < got; ++i) take_key(board, sink, bytes[static_cast<std::size_t>(i)]);
  }
}

void Console::wait_idle(const Board& board, InputSink& sink, VirtualNs idle_until,
                        std::optional<host::HostNs> wall_deadline) {
  const host::HostNs start = host::monotonic_now();
  const VirtualNs idle_from = board.clock().now();
  const u64 idle_ns = idle_until - idle_from;  // for ever: also if nothing is due
  bool woken = false;
  while (!woken && !host::StopSignals::pending()) {
    const host::HostNs now = host::monotonic_now();
    const u64 waited = now - start;
    if (waited >= idle_ns || (wall_deadline && now >= *wall_deadline)) break;
    u64 wait = idle_ns - waited;
    if (wall_deadline) wait = std::min(wait, *wall_deadline - now);
    woken = host::wait_readable(input_, wait);
    if (woken) read_input(board, sink);
    if (input_ < 0) interactive_ = false;  // the terminal went away
    woken = leave_ || !typed_.empty() || !interactive_;
  }
  // The time at which input arrives is part of the input: the guest's clock shows it.
  if (woken)
    sink.enter({.kind = InputKind::wake, .time = idle_from + std::min(idle_ns, host::monotonic_now() - start)});
}

bool Console::exchange(const Board& board, InputSink& sink, std::optional<VirtualNs> idle_until,
                       std::optional<host::HostNs> wall_deadline) {
  if (!flush()) return false;
  const bool look = looks_ == 0 || idle_until;
  looks_ = (looks_ + 1) % kLookEvery;
  if (look) read_input(board, sink);
  if (idle_until && interactive_ && typed_.empty() && !leave_) wait_idle(board, sink, *idle_until, wall_deadline);
  while (!typed_.empty() && board.console_listens()) {
    sink.enter({.kind = InputKind::console, .bytes = {typed_.front()}});
    typed_.pop_front();
  }
  return !leave_;
}

}  // namespace rondo::cli
