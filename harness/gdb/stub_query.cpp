// The general queries and settings, and the v packets (GDB manual, appendix E.4).
#include <fmt/format.h>

#include "harness/gdb/packets.h"
#include "harness/gdb/stub.h"

namespace rondo::gdb {
namespace {

constexpr char kOk[] = "OK", kMalformed[] = "E16";

constexpr char kSupported[] =
    "PacketSize=fff0;QStartNoAckMode+;qXfer:features:read+;ReverseStep+;ReverseContinue+;swbreak+;hwbreak+;"
    "ConditionalBreakpoints+;vContSupported+";

}  // namespace

std::string Stub::query(std::string_view packet) {
  Fields fields(packet);
  if (packet == "Supported" || fields.skip("Supported:")) return kSupported;
  if (fields.skip("Xfer:features:read:")) return features(fields.rest());
  if (packet == "C") return "QC1";
  if (packet == "fThreadInfo") return "m1";
  if (packet == "sThreadInfo") return "l";
  if (fields.skip("ThreadExtraInfo,")) {
    const CpuState cpu = debuggee_.cpu();
    const bool halted = cpu.activity != Activity::running;
    return to_hex(fmt::format("vCPU 0, {}, CPL {}", halted ? "halted" : "running", cpu.segment[SS].dpl));
  }
  if (packet == "Attached" || fields.skip("Attached:")) return "1";
  if (fields.skip("Symbol:")) return kOk;
  if (packet == "qemu.PhyMemMode") return debuggee_.physical ? "1" : "0";
  if (fields.skip("Rcmd,")) return monitor(fields.rest());
  return {};
}

std::string Stub::features(std::string_view arguments) {
  Fields fields(arguments);
  if (fields.until(':') != "target.xml") return "E00";
  const auto offset = fields.number();
  if (!offset || !fields.skip(',')) return kMalformed;
  const auto length = fields.number();
  if (!length) return kMalformed;
  const std::string& xml = registers_.description();
  if (*offset > xml.size()) return kMalformed;
  const std::string part = xml.substr(*offset, std::min<u64>(*length, 0x8000));
  return (*offset + part.size() == xml.size() ? "l" : "m") + part;
}

std::string Stub::set(std::string_view packet) {
  if (packet == "StartNoAckMode") {
    no_acks_ = true;
    return kOk;
  }
  if (packet == "qemu.PhyMemMode:1" || packet == "qemu.PhyMemMode:0") {
    debuggee_.physical = packet.back() == '1';
    return kOk;
  }
  return {};
}

std::string Stub::v_packet(std::string_view packet) {
  Fields fields(packet);
  if (packet == "Cont?") return "vCont;c;C;s;S;r";
  if (fields.skip("Cont;")) return v_cont(fields.rest());
  if (packet == "Kill" || fields.skip("Kill;")) {
    after_ = After::killed;
    return kOk;
  }
  if (fields.skip("Attach;")) return "E01";  // there is one machine, and gdb has it
  return {};
}

std::string Stub::monitor(std::string_view digits) {
  const auto bytes = from_hex(digits);
  if (!bytes) return kMalformed;
  apply_points();
  const std::string output = monitor_.run(std::string(bytes->begin(), bytes->end()));
  if (!output.empty() && text_) text_(output);
  last_stop_ = stop_reply({}, Direction::forwards);
  return kOk;
}

}  // namespace rondo::gdb
