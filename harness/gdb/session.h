// Serves gdb after gdb on one machine, live or recorded.
#pragma once

#include <functional>

#include "harness/gdb/server.h"
#include "harness/gdb/stub.h"
#include "harness/host/clock.h"

namespace rondo::gdb {

struct SessionOptions {
  Architecture architecture = Architecture::x86_64;
  // A detached gdb leaves the machine running (live) or where it stands (a recording).
  bool runs_detached = false;
  std::function<void()> rewound;                 // the machine was put back
  std::function<bool()> stopped;                 // the user wants to leave the program
  std::function<void(const std::string&)> tell;  // a line for the user of the program
};

class Session {
 public:
  Session(Server& server, Debuggee& debuggee, Monitor& monitor, SessionOptions options);
  // Until gdb kills the machine or the user leaves. True: killed by gdb.
  bool serve();

 private:
  enum class Left : u8 { detached, dropped, killed, stopped };
  Left talk(Connection& connection);
  void run_detached();
  void show_progress();

  Server& server_;
  Debuggee& debuggee_;
  SessionOptions options_;
  Stub stub_;
  Connection* connection_ = nullptr;
  std::unique_ptr<Connection> waiting_;  // came while the machine ran detached
  std::string last_;                     // the last reply, framed
  host::HostNs progress_due_;            // of what the last packet asked for
};

}  // namespace rondo::gdb
