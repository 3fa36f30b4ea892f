#include "harness/host/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace rondo::host {
namespace {

constexpr std::array kFatal{SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
constexpr std::array kStop{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// A process has one controlling terminal and one set of signal handlers: handlers can reach nothing but globals.
termios g_saved_mode;
volatile sig_atomic_t g_raw_fd = -1;
volatile sig_atomic_t g_stop_signal = 0;
std::array<struct sigaction, kFatal.size()> g_saved_fatal;
std::array<struct sigaction, kStop.size()> g_saved_stop;
struct sigaction g_saved_pipe;

void restore_mode() {
  if (g_raw_fd >= 0) tcsetattr(g_raw_fd, TCSADRAIN, &g_saved_mode);  // async-signal-safe (POSIX 2.4.3)
  g_raw_fd = -1;
}

void on_fatal(int signal) {
  restore_mode();
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void on_stop(int signal) { g_stop_signal = signal; }

void install(int signal, void (*handler)(int), struct sigaction* saved) {
  struct sigaction action {};
  action.sa_handler = handler;  // no SA_RESTART: a waiting poll must return
  sigaction(signal, &action, saved);
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1) ::open("/dev/null", O_RDWR);  // takes the lowest free number: this one
  }
}

RawTerminal::RawTerminal(int fd) {
  if (g_raw_fd >= 0 || tcgetattr(fd, &g_saved_mode) != 0) return;
  termios raw = g_saved_mode;
  cfmakeraw(&raw);
  raw.c_oflag |= OPOST;  // a bare line feed of a simple guest still starts a new line
  for (unsigned i = 0; i < kFatal.size(); ++i) install(kFatal[i], on_fatal, &g_saved_fatal[i]);
  g_raw_fd = fd;
  tcsetattr(fd, TCSADRAIN, &raw);
}

RawTerminal::~RawTerminal() {
  if (g_raw_fd < 0) return;
  restore_mode();
  for (unsigned i = 0; i < kFatal.size(); ++i) sigaction(kFatal[i], &g_saved_fatal[i], nullptr);
}

StopSignals::StopSignals() {
  g_stop_signal = 0;
  for (unsigned i = 0; i < kStop.size(); ++i) install(kStop[i], on_stop, &g_saved_stop[i]);
  install(SIGPIPE, SIG_IGN, &g_saved_pipe);
}

StopSignals::~StopSignals() {
  for (unsigned i = 0; i < kStop.size(); ++i) sigaction(kStop[i], &g_saved_stop[i], nullptr);
  sigaction(SIGPIPE, &g_saved_pipe, nullptr);
}

int StopSignals::pending() { return g_stop_signal; }

bool wait_readable(int fd, u64 timeout_ns) {
  // One day at a time: the caller looks again.
  const u64 bounded = std::min<u64>(timeout_ns, 86'400'000'000'000);
  const timespec timeout{static_cast<time_t>(bounded / 1'000'000'000), static_cast<long>(bounded % 1'000'000'000)};
  pollfd entry{fd, POLLIN, 0};
  return ::ppoll(&entry, 1, &timeout, nullptr) > 0;  // hang-up and errors count: the read tells
}

}  // namespace rondo::host
