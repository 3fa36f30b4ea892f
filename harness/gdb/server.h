// The TCP port on which gdb connects.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "harness/gdb/packets.h"

namespace rondo::gdb {

// One gdb on a socket. Sending never blocks for ever: a peer that does not read is gone.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What has arrived so far. Waits up to timeout_ns if that is nothing; 0: does not wait.
  std::optional<Received> receive(u64 timeout_ns);
  // Whether Ctrl-C has arrived. Does not wait.
  bool interrupted();
  void send(std::string_view bytes);
  bool closed() const { return closed_; }
  PacketReader& reader() { return reader_; }

 private:
  void read_available();
  int fd_;
  bool closed_ = false;
  PacketReader reader_;
};

class Server {
 public:
  // "1234", ":1234", "127.0.0.1:1234", "[::1]:1234"; port 0 takes a free one. Without a host the port is on loopback.
  static Result<std::unique_ptr<Server>> listen(const std::string& address);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // What to type after `target remote`.
  const std::string& address() const { return address_; }
  bool on_loopback() const { return loopback_; }
  // The next gdb; null after timeout_ns or a signal.
  std::unique_ptr<Connection> accept(u64 timeout_ns);

 private:
  Server(int fd, std::string address, bool loopback) : fd_(fd), address_(std::move(address)), loopback_(loopback) {}
  int fd_;
  std::string address_;
  bool loopback_;
};

}  // namespace rondo::gdb
