// GDB's remote protocol: what each packet means for the machine (GDB manual, appendix E). One packet in, one reply out;
// knows nothing of sockets.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "harness/gdb/agent_expression.h"
#include "harness/gdb/debuggee.h"
#include "harness/gdb/monitor.h"
#include "harness/gdb/registers.h"

namespace rondo::gdb {

class Stub {
 public:
  Stub(Debuggee& debuggee, Monitor& monitor, Architecture architecture);

  // Text for the user, while gdb waits for the reply to a packet that lets it wait.
  void on_text(std::function<void(std::string_view)> text) { text_ = std::move(text); }

  // The machine was put back to an earlier Moment.
  void rewound() { remember_values(); }

  // The reply's payload; empty: the packet is not known.
  std::string handle(std::string_view packet);
  // A new gdb: nothing is left of the last one's breakpoints.
  void connected();

  bool no_acks() const { return no_acks_; }
  enum class After : u8 { go_on, detached, killed };
  After after() const { return after_; }

 private:
  std::string query(std::string_view packet);
  std::string features(std::string_view arguments);
  std::string set(std::string_view packet);
  std::string v_packet(std::string_view packet);
  std::string v_cont(std::string_view actions);
  std::string read_registers();
  std::string write_registers(std::string_view digits);
  std::string read_register(std::string_view digits);
  std::string write_register(std::string_view arguments);
  std::string read_memory(std::string_view arguments);
  std::string write_memory(std::string_view arguments, bool binary);
  std::string point(std::string_view arguments, bool insert);
  std::string select_thread(std::string_view arguments);
  std::string monitor(std::string_view digits);
  std::string resume_at(std::string_view address, bool step);
  std::string step(Direction direction);
  std::string step_range(u64 from, u64 to);
  std::string resume(Direction direction);

  std::string stop_reply(const Stop& stop, Direction direction);
  void say(const std::string& line);
  bool accept(const DebugStop& hit);
  bool condition_holds(u64 address);
  void remember_values();
  void apply_points();
  u64 cpu_count();
  void set_cpu(const CpuState& cpu);

  Debuggee& debuggee_;
  Monitor& monitor_;
  Registers registers_;
  std::function<void(std::string_view)> text_;
  // By address and kind of Z packet; conditions: any of them, none is always.
  using Conditions = std::vector<std::vector<u8>>;
  std::map<u64, Conditions> breakpoints_[2];  // Z0, Z1
  struct Watch {
    Watchpoint point;
    std::vector<u8> value;  // as it was last, of those that report changes only
  };
  std::vector<Watch> watches_;
  bool points_changed_ = true;
  std::string last_stop_;
  std::string pending_text_;
  bool no_acks_ = false;
  After after_ = After::go_on;
};

}  // namespace rondo::gdb
