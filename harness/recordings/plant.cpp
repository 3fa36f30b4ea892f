#include "harness/recordings/plant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "harness/host/clock.h"
#include "harness/values.h"

namespace rondo::recordings {
namespace {

constexpr char kMarkPrefix[] = "planted fault: ";

std::optional<u64> parse_number(const std::string& text, u64 largest) {
  const bool hexadecimal = text.rfind("0x", 0) == 0;
  const std::string digits = hexadecimal ? text.substr(2) : text;
  const std::string allowed = hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
  if (digits.empty() || digits.size() > 16 || digits.find_first_not_of(allowed) != std::string::npos)
    return std::nullopt;
  const u64 value = std::stoull(digits, nullptr, hexadecimal ? 16 : 10);
  return value <= largest ? std::optional(value) : std::nullopt;
}

void tell_on_stderr(const std::string& line) { std::fprintf(stderr, "rondo: %s%s\n", kMarkPrefix, line.c_str()); }

// The address of a memory fault that names none: a function of the count, so that the same switch gives the same fault.
GuestPhys drawn_address(InstrCount count, u64 memory_bytes) {
  u64 x = count.value + 0x9e3779b97f4a7c15;  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return GuestPhys{(x ^ (x >> 31)) % std::min(memory_bytes, kPciHoleStart)};
}

// Flips bits of memory at the counts at which it is asked to.
class MemoryFaults final : public Door {
 public:
  MemoryFaults(Machine& machine, std::vector<Plant> faults, bool tell)
      : machine_(machine), faults_(std::move(faults)), tell_(tell) {}
  void put_before(Door& inner) { inner_ = &inner; }

  std::optional<InstrCount> next_visit(InstrCount now) override {
    inner_visit_ = inner_->next_visit(now);
    std::optional<InstrCount> next = inner_visit_;
    for (const Plant& fault : faults_) {
      const bool ahead = fault.count > now || (fault.count == now && done_at_ != now);
      if (ahead && (!next || fault.count < *next)) next = fault.count;
    }
    return next;
  }

  // What enters by the inner door at this Moment enters first.
  bool visit(std::optional<VirtualNs> idle_until) override {
    const InstrCount now = machine_.clock().count();
    if ((idle_until || (inner_visit_ && *inner_visit_ <= now)) && !inner_->visit(idle_until)) return false;
    if (idle_until || done_at_ == now) return true;
    done_at_ = now;
    for (const Plant& fault : faults_) {
      if (fault.count == now) flip(fault);
    }
    return true;
  }

  bool visit_candidate() override { return inner_->visit_candidate(); }
  bool visit_search() override { return inner_->visit_search(); }

  void moved(InstrCount count, bool entered) { done_at_ = entered ? std::optional(count) : std::nullopt; }

 private:
  void flip(const Plant& fault) {
    u8 byte = 0;
    if (!machine_.memory().read(*fault.address, {&byte, 1})) return;
    byte ^= static_cast<u8>(1u << fault.bit);
    machine_.memory().write(*fault.address, {&byte, 1});
    machine_.engine().memory_changed();
    if (tell_)
      tell_on_stderr(fmt::format("{}: RIP 0x{:x}, the byte is now 0x{:02x}", to_string(fault),
                                 machine_.engine().state().rip, byte));
  }

  Machine& machine_;
  std::vector<Plant> faults_;
  bool tell_;
  Door* inner_ = nullptr;
  std::optional<InstrCount> inner_visit_;
  std::optional<InstrCount> done_at_;
};

// An engine around the board's engine whose run drive computes wrongly at one count. The step drive is the reference
// and does not.
class DefectiveEngine final : public Engine {
 public:
  DefectiveEngine(Clock& clock, std::unique_ptr<Engine> sound, const Plant& fault, bool tell)
      : clock_(clock), sound_(std::move(sound)), fault_(fault), tell_(tell) {}

  EngineStop run(InstrCount stop) override {
    if (clock_.count() < first()) {
      const EngineStop why = sound_->run(std::min(stop, first()));
      if (why != EngineStop::count_reached || clock_.count() >= stop) return why;
    }
    while (due() && clock_.count() < stop) {
      const EngineStop why = run_one();
      if (why != EngineStop::count_reached) return why;
    }
    return clock_.count() < stop ? sound_->run(stop) : EngineStop::count_reached;
  }
  EngineStop step() override { return sound_->step(); }
  CpuState state() const override { return sound_->state(); }
  void set_state(const CpuState& state) override { sound_->set_state(state); }
  void memory_changed() override { sound_->memory_changed(); }
  void pages_changed(std::span<const u64> pages) override { sound_->pages_changed(pages); }
  void watch_writes() override { sound_->watch_writes(); }
  void interrupt() override { sound_->interrupt(); }
  void set_debug_points(DebugPoints points) override { sound_->set_debug_points(std::move(points)); }
  const DebugStop& debug_stop() const override { return sound_->debug_stop(); }
  void pass_breakpoint() override { sound_->pass_breakpoint(); }
  void set_search(const std::optional<SearchPoint>& point) override { sound_->set_search(point); }
  u64 deliveries() const override { return sound_->deliveries(); }
  std::vector<UnsupportedInstruction> unsupported() const override { return sound_->unsupported(); }

  void moved(InstrCount count) {
    if (done_at_ && count < *done_at_) done_at_.reset();
  }

 private:
  InstrCount first() const { return InstrCount{fault_.count.value - 1}; }  // before the instruction
  bool due() const { return !done_at_ && clock_.count() >= first() && clock_.count() < fault_.count + kReach; }

  EngineStop run_one() {
    const CpuState before = sound_->state();
    const InstrCount count = clock_.count();
    const EngineStop why = sound_->run(count + 1);
    if (clock_.count() == count) return why;
    CpuState after = sound_->state();
    for (unsigned r = 0; r < after.gpr.size(); ++r) {
      // The delivery of an interrupt before the instruction moves RSP, too.
      if (after.gpr[r] == before.gpr[r] || r == RSP) continue;
      done_at_ = clock_.count();
      after.gpr[r] ^= u64{1} << fault_.bit;
      sound_->set_state(after);
      if (tell_)
        tell_on_stderr(fmt::format("{}: instruction {} at RIP 0x{:x}, general register {}", to_string(fault_),
                                   done_at_->value, before.rip, r));
      break;
    }
    return why;
  }

  static constexpr u64 kReach = 1000;  // how long it looks for an instruction that changes a register
  Clock& clock_;
  std::unique_ptr<Engine> sound_;
  Plant fault_;
  bool tell_;
  std::optional<InstrCount> done_at_;
};

struct HostClockPort final : BusTarget {
  u64 bus_read(u64, unsigned size) override {
    const u64 now = host::monotonic_now().value;
    return size >= 4 ? now & 0xffffffff : now & ((u64{1} << (8 * size)) - 1);
  }
  void bus_write(u64, unsigned, u64) override {}
};

}  // namespace

Result<Plant> parse_plant(const std::string& text) {
  const Error bad{"'" + text + "' is no planted fault: use memory@COUNT[:ADDRESS.BIT], alu@COUNT[:BIT] or clock"};
  if (text == "clock") return Plant{};
  const auto at = text.find('@');
  const auto colon = text.find(':', at == std::string::npos ? 0 : at);
  if (at == std::string::npos) return bad;
  Plant plant;
  const std::string kind = text.substr(0, at);
  const std::string detail = colon == std::string::npos ? "" : text.substr(colon + 1);
  const Result<u64> count = parse_count(text.substr(at + 1, colon == std::string::npos ? colon : colon - at - 1));
  if (!count || *count == 0 || *count >= u64{1} << 60 || (colon != std::string::npos && detail.empty())) return bad;
  plant.count = InstrCount{*count};
  if (kind == "alu") {
    plant.kind = Plant::Kind::alu;
    const auto bit = parse_number(detail.empty() ? "0" : detail, 63);
    if (!bit) return bad;
    plant.bit = static_cast<unsigned>(*bit);
    return plant;
  }
  if (kind != "memory") return bad;
  plant.kind = Plant::Kind::memory;
  if (detail.empty()) return plant;
  const auto dot = detail.find('.');
  if (dot == std::string::npos) return bad;
  const auto address = parse_number(detail.substr(0, dot), std::numeric_limits<u64>::max());
  const auto bit = parse_number(detail.substr(dot + 1), 7);
  if (!address || !bit) return bad;
  plant.address = GuestPhys{*address};
  plant.bit = static_cast<unsigned>(*bit);
  return plant;
}

std::string to_string(const Plant& plant) {
  switch (plant.kind) {
    case Plant::Kind::memory:
      if (!plant.address) return fmt::format("memory@{}", plant.count.value);
      return fmt::format("memory@{}:0x{:x}.{}", plant.count.value, plant.address->value, plant.bit);
    case Plant::Kind::alu:
      return fmt::format("alu@{}:{}", plant.count.value, plant.bit);
    case Plant::Kind::clock:
      break;
  }
  return "clock";
}

std::string plant_mark(const Plant& plant) { return kMarkPrefix + to_string(plant); }

std::vector<Plant> plants_of(const replay::Manifest& manifest) {
  std::vector<Plant> plants;
  const std::string prefix = kMarkPrefix;
  for (const std::string& mark : manifest.marks) {
    if (mark.rfind(prefix, 0) != 0) continue;
    if (const Result<Plant> plant = parse_plant(mark.substr(prefix.size()))) plants.push_back(*plant);
  }
  return plants;
}

struct Plants::Parts {
  std::optional<MemoryFaults> memory;
  std::vector<DefectiveEngine*> engines;  // the machine owns them
  std::unique_ptr<HostClockPort> clock;
};

Plants::Plants(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Plants::~Plants() = default;

Result<std::unique_ptr<Plants>> Plants::attach(Board& board, const std::vector<Plant>& plants, bool tell) {
  Machine& machine = board.machine();
  auto parts = std::make_unique<Parts>();
  std::vector<Plant> memory_faults;
  for (Plant plant : plants) {
    switch (plant.kind) {
      case Plant::Kind::memory:
        if (!plant.address) plant.address = drawn_address(plant.count, machine.memory().size());
        if (!machine.memory().is_ram(*plant.address))
          return Error{"planted fault " + to_string(plant) + ": this is not an address of guest memory"};
        memory_faults.push_back(plant);
        break;
      case Plant::Kind::alu: {
        auto engine = std::make_unique<DefectiveEngine>(machine.clock(), machine.detach_engine(), plant, tell);
        parts->engines.push_back(engine.get());
        machine.attach_engine(std::move(engine));
        break;
      }
      case Plant::Kind::clock:
        if (parts->clock) break;
        parts->clock = std::make_unique<HostClockPort>();
        if (Status mapped = machine.ports().map(kClockPort, 4, *parts->clock, "planted clock"); !mapped)
          return mapped.error();
        break;
    }
  }
  if (!memory_faults.empty()) parts->memory.emplace(machine, std::move(memory_faults), tell);
  return std::unique_ptr<Plants>(new Plants(std::move(parts)));
}

void Plants::moved(InstrCount count, bool entered) {
  if (parts_->memory) parts_->memory->moved(count, entered);
  for (DefectiveEngine* engine : parts_->engines) engine->moved(count);
}

Door& Plants::door(Door& inner) {
  if (!parts_->memory) return inner;
  parts_->memory->put_before(inner);
  return *parts_->memory;
}

}  // namespace rondo::recordings
