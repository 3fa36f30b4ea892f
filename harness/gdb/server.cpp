#include "harness/gdb/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "harness/host/terminal.h"

namespace rondo::gdb {
namespace {

constexpr int kSendPatience = 10'000;  // ms that a peer may leave its window closed

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &address, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
  }
  sockaddr_in6 in;
  std::memcpy(&in, &address, sizeof in);
  return IN6_IS_ADDR_LOOPBACK(&in.sin6_addr);
}

std::string name_of(int fd, bool& loopback) {
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  loopback = is_loopback(bound);
  std::array<char, 64> host{};
  std::array<char, 16> port{};
  getnameinfo(reinterpret_cast<sockaddr*>(&bound), length, host.data(), host.size(), port.data(), port.size(),
              NI_NUMERICHOST | NI_NUMERICSERV);
  const bool v6 = bound.ss_family == AF_INET6;
  return (v6 ? "[" : "") + std::string(host.data()) + (v6 ? "]:" : ":") + port.data();
}

}  // namespace

Connection::~Connection() { ::close(fd_); }

void Connection::read_available() {
  std::array<u8, 4096> bytes;
  while (!closed_) {
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0) {
      reader_.feed({bytes.data(), static_cast<std::size_t>(got)});
      if (static_cast<std::size_t>(got) < bytes.size()) return;
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    closed_ = true;
  }
}

std::optional<Received> Connection::receive(u64 timeout_ns) {
  if (auto first = reader_.next()) return first;
  if (timeout_ns > 0 && !closed_ && !host::wait_readable(fd_, timeout_ns)) return std::nullopt;
  read_available();
  return reader_.next();
}

bool Connection::interrupted() {
  read_available();
  return reader_.take_interrupt() || closed_;
}

void Connection::send(std::string_view bytes) {
  while (!bytes.empty() && !closed_) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    pollfd entry{fd_, POLLOUT, 0};
    const bool full = sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (!full || ::poll(&entry, 1, kSendPatience) <= 0) closed_ = true;
  }
}

Result<std::unique_ptr<Server>> Server::listen(const std::string& address) {
  const Error bad{"--gdb '" + address + "': use [HOST:]PORT, such as 127.0.0.1:1234 or 1234"};
  const std::size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? "" : address.substr(0, colon);
  const std::string port = colon == std::string::npos ? address : address.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoul(port) > 65535)
    return bad;
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "localhost") host = "127.0.0.1";
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return bad;
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool bound = fd >= 0 && ::bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, 1) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!bound) {
    if (fd >= 0) ::close(fd);
    return Error{"--gdb '" + address + "': cannot listen there: " + std::strerror(error) + "; use another port"};
  }
  bool loopback = false;
  std::string name = name_of(fd, loopback);
  return std::unique_ptr<Server>(new Server(fd, std::move(name), loopback));
}

Server::~Server() { ::close(fd_); }

std::unique_ptr<Connection> Server::accept(u64 timeout_ns) {
  if (!host::wait_readable(fd_, timeout_ns)) return nullptr;
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return nullptr;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return std::make_unique<Connection>(fd);
}

}  // namespace rondo::gdb
