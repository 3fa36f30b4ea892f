#include "harness/gdb/session.h"

namespace rondo::gdb {
namespace {

constexpr u64 kLook = 200'000'000;        // ns between looks at whether the user wants to leave
constexpr u64 kProgress = 2'000'000'000;  // ns between lines about a search

}  // namespace

Session::Session(Server& server, Debuggee& debuggee, Monitor& monitor, SessionOptions options)
    : server_(server),
      debuggee_(debuggee),
      options_(std::move(options)),
      stub_(debuggee, monitor, options_.architecture) {
  debuggee_.travel().on_poll([this] {
    if (options_.stopped()) return false;
    if (connection_) {
      show_progress();
      return !connection_->interrupted();
    }
    if (!waiting_) waiting_ = server_.accept(0);
    return !waiting_;
  });
  debuggee_.travel().on_rewind([this] {
    stub_.rewound();
    options_.rewound();
  });
  // Packets with text may be sent only while gdb waits for one that lets the machine go on; the stub knows.
  stub_.on_text([this](std::string_view text) {
    if (!connection_) return;
    constexpr std::size_t kPart = 4096;
    for (std::size_t at = 0; at < text.size(); at += kPart)
      connection_->send(frame("O" + to_hex(text.substr(at, kPart))));
  });
}

void Session::show_progress() {
  const std::string doing = debuggee_.travel().doing();
  if (doing.empty() || host::monotonic_now() < progress_due_) return;
  progress_due_ = host::monotonic_now() + kProgress;
  connection_->send(frame("O" + to_hex("rondo: " + doing + " (Ctrl-C stops)\n")));
}

bool Session::serve() {
  while (!options_.stopped()) {
    std::unique_ptr<Connection> connection = std::move(waiting_);
    if (!connection) connection = server_.accept(kLook);
    if (!connection) continue;
    connection_ = connection.get();
    stub_.connected();
    const Left left = talk(*connection);
    connection_ = nullptr;
    if (left == Left::killed) return true;
    if (left == Left::stopped) return false;
    options_.tell(left == Left::detached ? "gdb has detached"
                                         : "gdb has gone without a word: the machine stays where it stands");
    if (left == Left::detached && options_.runs_detached) run_detached();
  }
  return false;
}

Session::Left Session::talk(Connection& connection) {
  last_.clear();
  while (true) {
    if (options_.stopped()) return Left::stopped;
    const auto message = connection.receive(kLook);
    if (connection.closed() && !message) return Left::dropped;
    if (!message) continue;
    switch (message->kind) {
      case Received::Kind::ack:
      case Received::Kind::interrupt:  // it stands still already
        continue;
      case Received::Kind::nak:
        connection.send(last_);
        continue;
      case Received::Kind::bad_packet:
        if (!stub_.no_acks()) connection.send("-");
        continue;
      case Received::Kind::packet:
        break;
    }
    if (!stub_.no_acks()) connection.send("+");
    progress_due_ = host::monotonic_now() + kProgress;
    const bool acks_before = !stub_.no_acks();
    const std::string reply = stub_.handle(message->payload);
    if (stub_.no_acks() && acks_before) connection.reader().ignore_checksums();
    if (message->payload != "k") connection.send(last_ = frame(reply));
    if (stub_.after() == Stub::After::killed) return Left::killed;
    if (stub_.after() == Stub::After::detached) return Left::detached;
  }
}

// Without breakpoints, until the next gdb comes.
void Session::run_detached() {
  stub_.connected();  // forgets the breakpoints
  while (!options_.stopped() && !waiting_) {
    const Stop stop = debuggee_.travel().resume(Direction::forwards);
    if (stop.why == Stop::Why::interrupted) continue;
    options_.tell(stop.message);
    break;
  }
}

}  // namespace rondo::gdb
