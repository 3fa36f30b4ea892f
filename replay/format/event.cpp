#include "replay/format/event.h"

namespace rondo::replay {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string printable(const std::vector<u8>& bytes, u64 shown = 40) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "\"";
  for (u64 i = 0; i < bytes.size() && i < shown; ++i) {
    const u8 c = bytes[i];
    if (c == '\n')
      text += "\\n";
    else if (c == '\r')
      text += "\\r";
    else if (c == '"' || c == '\\')
      text += {'\\', static_cast<char>(c)};
    else if (c >= 0x20 && c < 0x7f)
      text += static_cast<char>(c);
    else
      text += {'\\', 'x', kDigits[c >> 4], kDigits[c & 15]};
  }
  return text + (bytes.size() > shown ? "\"..." : "\"");
}

std::string bytes_of(const std::vector<u8>& bytes) {
  return std::to_string(bytes.size()) + (bytes.size() == 1 ? " byte" : " bytes");
}

}  // namespace

std::string kind_name(const EventBody& body) {
  return std::visit(
      Overloaded{[](const ConsoleInput&) -> std::string { return "console-input"; },
                 [](const ConsoleBreak&) -> std::string { return "console-break"; },
                 [](const IdleWake&) -> std::string { return "idle-wake"; },
                 [](const PowerButton&) -> std::string { return "power-button"; },
                 [](const ResetButton&) -> std::string { return "reset-button"; },
                 [](const HostTime&) -> std::string { return "host-time"; },
                 [](const SeedMaterial&) -> std::string { return "seed-material"; },
                 [](const SampledTime&) -> std::string { return "sampled-time"; },
                 [](const AsynchronousInterrupt&) -> std::string { return "asynchronous-interrupt"; },
                 [](const StateHash&) -> std::string { return "state-hash"; },
                 [](const CheckpointTaken&) -> std::string { return "checkpoint-taken"; },
                 [](const End&) -> std::string { return "end"; }, [](const Remark&) -> std::string { return "remark"; },
                 [](const Unknown& b) -> std::string { return "unknown-" + std::to_string(b.kind); }},
      body);
}

std::string describe(const EventBody& body) {
  const std::string details = std::visit(
      Overloaded{
          [](const ConsoleInput& b) {
            return "port " + std::to_string(b.port) + ", " + bytes_of(b.bytes) + ": " + printable(b.bytes);
          },
          [](const ConsoleBreak& b) { return "port " + std::to_string(b.port); },
          [](const IdleWake& b) { return "at " + std::to_string(b.woke_at.value) + " ns"; },
          [](const PowerButton&) { return std::string(); }, [](const ResetButton&) { return std::string(); },
          [](const HostTime& b) { return std::to_string(b.seconds) + " s + " + std::to_string(b.nanoseconds) + " ns"; },
          [](const SeedMaterial& b) { return bytes_of(b.bytes); },
          [](const SampledTime& b) { return std::to_string(b.time.value) + " ns"; },
          [](const AsynchronousInterrupt& b) { return "vector " + std::to_string(b.vector); },
          [](const StateHash& b) {
            return b.total.hex() + " over " + std::to_string(b.components.size()) + " components";
          },
          [](const CheckpointTaken& b) { return std::to_string(b.number); },
          [](const End& b) {
            return b.reason + " after " + std::to_string(b.instructions.value) + " instructions, " +
                   std::to_string(b.virtual_ns.value) + " ns";
          },
          [](const Remark& b) { return printable(std::vector<u8>(b.text.begin(), b.text.end()), b.text.size()); },
          [](const Unknown&) { return std::string("of a newer version of the format"); }},
      body);
  return details.empty() ? kind_name(body) : kind_name(body) + ": " + details;
}

}  // namespace rondo::replay
